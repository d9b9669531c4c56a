/* Products of int8 and int4 matrices are computed in parts: some blocks of GROUP_ROWS rows with a few tokens. */
#ifndef GPTOSS_ROW_PARTS_H
#define GPTOSS_ROW_PARTS_H

#include "generic.h"

#define PART_TOKENS 8   /* the most tokens of a part */
#define PART_BLOCKS 24  /* blocks of the rows that stay in the L1 cache for several parts */
#define PART_AHEAD 2048 /* bytes of weights that are fetched in advance */

typedef struct {
    const uint8_t *weights;
    const uint16_t *scales;
    long first, blocks;
    int is_first; /* the weights come from memory; later parts find them in the cache */
    const NarrowBlock *narrow[PART_TOKENS]; /* from block `first` on; the form that the matrix needs is set */
    const WideBlock *wide[PART_TOKENS];
    float *out[PART_TOKENS];                /* [GROUP_ROWS], set by the first blocks of the rows */
} RowPart;

typedef void (*RowPartFunction)(const RowPart *part, long count);

/* See multiply_rows in matrix.h. The tokens of a part are at most `largest`, and all parts have nearly as many. */
INLINE void multiply_row_parts(const WeightMatrix *w, long row, long rows, const Activations *x,
                               const int32_t *tokens, long count, float *out, long stride, const long largest,
                               RowPartFunction function) {
    const long blocks = w->k / BLOCK, groups = (count + largest - 1) / largest;
    const long chunk = groups > 1 ? PART_BLOCKS : blocks;
    const int is_narrow = w->format == FORMAT_INT4 && w->bits == 8;
    for (long r = 0; r < rows; r += GROUP_ROWS)
        for (long first = 0; first < blocks; first += chunk) {
            RowPart part = {.weights = find_group_weights(w, row + r, first),
                            .scales = find_group_scales(w, row + r, first),
                            .first = first,
                            .blocks = blocks - first < chunk ? blocks - first : chunk};
            for (long i = 0, group = groups; group > 0; group--) {
                const long size = (count - i + group - 1) / group;
                part.is_first = i == 0;
                for (long t = 0; t < size; t++) {
                    const long entry = (tokens ? tokens[i + t] : i + t) * blocks + first;
                    if (is_narrow)
                        part.narrow[t] = x->narrow + entry;
                    else
                        part.wide[t] = x->wide + entry;
                    part.out[t] = out + (i + t) * stride + r;
                }
                function(&part, size);
                i += size;
            }
        }
}

#endif
