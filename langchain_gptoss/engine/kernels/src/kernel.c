/* The CPU kernel: products of weight matrices in the formats of checkpoints, and the forward pass of a whole model.
 *
 * Each level of instructions has its functions; those of plain C define the results, and the others have the same bits.
 */
#include "common.h"
#include "threads.h"
#include "portable_matrix.h"
#include "quantize.h"
#ifdef X86
#include "avx2_matrix.h"
#include "avx512_matrix.h"
#endif
#ifdef ARM64
#include "neon_matrix.h"
#endif
#include "matrix.h"
#include "token_functions.h"

#define EXPORT __attribute__((visibility("default")))

static const Kernels PORTABLE_KERNELS = {
    .round_token = portable_round_token,
    .multiply_rows = portable_multiply_rows,
    .quantize_rows = portable_quantize_rows,
    .row_group = 1,
};
#ifdef X86
static const Kernels AVX2_KERNELS = {
    .round_token = avx2_round_token,
    .multiply_rows = avx2_multiply_rows,
    .quantize_rows = avx2_quantize_rows,
    .row_group = 8,
};
static const Kernels AVX512_KERNELS = {
    .round_token = avx512_round_token,
    .multiply_rows = avx512_multiply_rows,
    .quantize_rows = avx2_quantize_rows,
    .row_group = 8,
};
#endif
#ifdef ARM64
static const Kernels NEON_KERNELS = {
    .round_token = portable_round_token,
    .multiply_rows = neon_multiply_rows,
    .quantize_rows = portable_quantize_rows,
    .row_group = NEON_ROWS,
};
#endif

/* Numbers of the levels; native.py has the same ones. */
enum { PORTABLE_LEVEL, AVX2_LEVEL, AVX512_LEVEL, NEON_LEVEL };

/* Returns the levels that the processor has, one bit each. */
EXPORT int gptoss_find_levels(void) {
    int levels = 1 << PORTABLE_LEVEL;
#ifdef X86
    const int has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (has_avx2) levels |= 1 << AVX2_LEVEL;
    if (has_avx2 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni") &&
        __builtin_cpu_supports("avx512vbmi"))
        levels |= 1 << AVX512_LEVEL;
#endif
#ifdef ARM64
    if (has_dot_product()) levels |= 1 << NEON_LEVEL;
#endif
    return levels;
}

static const Kernels *select_kernels(int32_t level) {
#ifdef X86
    if (level == AVX512_LEVEL) return &AVX512_KERNELS;
    if (level == AVX2_LEVEL) return &AVX2_KERNELS;
#endif
#ifdef ARM64
    if (level == NEON_LEVEL) return &NEON_KERNELS;
#endif
    (void)level;
    return &PORTABLE_KERNELS;
}

/* Returns 1 if a size is above 0 and has whole blocks. */
static int has_blocks(int64_t size) { return size > 0 && size % BLOCK == 0; }

/* ---- rounding of weights */

static void quantize_task(void *context, long item, int thread) {
    (void)thread;
    const Quantization *q = context;
    select_kernels(q->level)->quantize_rows(q, item * GROUP_ROWS);
}

/* weights and scales = the source, rounded to int8. Returns OK or INVALID_SIZE. */
EXPORT int gptoss_quantize_int8(const Quantization *q) {
    if (q->rows < 0 || q->threads < 1 || !has_blocks(q->k)) return INVALID_SIZE;
    const long items = round_up(q->rows, GROUP_ROWS) / GROUP_ROWS;
    Team *team = create_team(q->threads);
    parallel_for(team, quantize_task, (void *)q, items, 1);
    free_team(team);
    return OK;
}

#include "forward.h"
#include "product.h"
