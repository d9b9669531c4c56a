/* Products of int8 matrices are computed in parts: some blocks of INT8_ROWS rows with a few tokens. */
#ifndef GPTOSS_INT8_PARTS_H
#define GPTOSS_INT8_PARTS_H

#include "generic.h"

#define INT8_TOKENS 8      /* the most tokens of a part */
#define INT8_CHUNK 24      /* blocks of the rows that stay in the L1 cache for several parts */
#define INT8_AHEAD 2048    /* bytes that are fetched in advance */
#define INT8_BLOCK_BYTES (BLOCK * INT8_ROWS)

typedef struct {
    const int8_t *weights;
    const uint16_t *scales;
    long first, blocks;
    int is_first; /* the weights come from memory; later parts find them in the cache */
    const WideBlock *x[INT8_TOKENS]; /* from block `first` on */
    float *out[INT8_TOKENS];         /* [INT8_ROWS], set by the first blocks of the rows */
} Int8Part;

typedef void (*Int8Function)(const Int8Part *part, long count);

/* See multiply_rows in matrix.h. The tokens of a part are at most `largest`, and all parts have nearly as many. */
INLINE void multiply_int8_parts(const WeightMatrix *w, long row, long rows, const Activations *x,
                                const int32_t *tokens, long count, float *out, long stride, const long largest,
                                Int8Function function) {
    const long blocks = w->k / BLOCK, groups = (count + largest - 1) / largest;
    const long chunk = groups > 1 ? INT8_CHUNK : blocks;
    for (long r = 0; r < rows; r += INT8_ROWS)
        for (long first = 0; first < blocks; first += chunk) {
            Int8Part part = {.weights = find_int8_weights(w, row + r, first),
                             .scales = find_int8_scales(w, row + r, first),
                             .first = first,
                             .blocks = blocks - first < chunk ? blocks - first : chunk};
            for (long i = 0, group = groups; group > 0; group--) {
                const long size = (count - i + group - 1) / group;
                part.is_first = i == 0;
                for (long t = 0; t < size; t++) {
                    part.x[t] = x->wide + (tokens ? tokens[i + t] : i + t) * blocks + first;
                    part.out[t] = out + (i + t) * stride + r;
                }
                function(&part, size);
                i += size;
            }
        }
}

#endif
