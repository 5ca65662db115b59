// The kernels by name: of a decode step, and of a prompt's chunk. The number in a name is how many tokens it handles at
// most. Compiled in parts, at the same time: a definition PART_... says which.

#define KERNEL(threads, blocks) extern "C" __global__ void __launch_bounds__(threads, blocks)

// The slim ones, for several ranks, have one tile of rows a warp instead of two: two blocks a multiprocessor, so that a
// block of the next kernel comes where one of this kernel ends.
#define LINEAR_LAYERS(name, E) \
  KERNEL(256, 2) name##8Slim(const __grid_constant__ LinearArgs args) { linear<1, 1, 4, 8, E>(args); } \
  KERNEL(256, 1) name##8(const __grid_constant__ LinearArgs args) { linear<1, 2, 4, 8, E>(args); } \
  KERNEL(256, 1) name##16(const __grid_constant__ LinearArgs args) { linear<2, 2, 4, 8, E>(args); } \
  KERNEL(256, 1) name##32(const __grid_constant__ LinearArgs args) { linearPair<4, 3, E>(args); } \
  KERNEL(256, 1) name##64(const __grid_constant__ LinearArgs args) { linearPair<8, 3, E>(args); }

// NT outputs of a tile, blocks of a cluster, leaves of a sum.
#define PRODUCT(name, NT, cluster, leaves, E) \
  KERNEL(384, 1) name(const __grid_constant__ ProductArgs args) { product<NT, cluster, leaves, E>(args); }

// For more tokens: rows of the weights in a tile, blocks of a cluster.
#define WIDE(name, NT, cluster, E) \
  KERNEL(384, 1) name(const __grid_constant__ WideArgs args) { wide<NT, cluster, E>(args); }

// Pages of a warp that are under way at a time, blocks of a multiprocessor: with one query head for each kv head little
// but memory counts.
#define SHALLOW (GROUP == 1 && HEAD_SIZE <= 128 ? 2 : 1)
#define DEEP (HEAD_SIZE <= 128 ? 4 : 2)
#define SHALLOW_BLOCKS (HEAD_SIZE <= 128 ? 3 : 2)
#define ATTENTION(name, inCluster, depth, blocks) \
  KERNEL(ATTENTION_WARPS * 32, blocks) name(const __grid_constant__ AttentionArgs args) { \
    attention<inCluster, depth>(args); \
  }

#if defined(PART_FLOATS)
#include "linear.cuh"
LINEAR_LAYERS(floats, ToFloats)
#elif defined(PART_GATED)
#include "linear.cuh"
LINEAR_LAYERS(gated, ToGated)
#elif defined(PART_HEADS)
#include "linear.cuh"
LINEAR_LAYERS(heads, ToAttention)
#elif defined(PART_RESIDUAL)
#include "linear.cuh"
LINEAR_LAYERS(residual, ToResidual)
#elif defined(PART_PARTIAL)
#include "linear.cuh"
// Warps of a block and blocks of a multiprocessor: defined by the options. Fewer warps have deeper rings.
#define PARTIAL(name, NT, depth, deepest, blocks) \
  KERNEL(ROW_WARPS * 32, blocks) name(const __grid_constant__ LinearArgs args) { \
    linear<NT, 1, (ROW_WARPS < 8 ? deepest : depth), ROW_SEGMENTS, ToPartial, ROW_WARPS>(args); \
  }
PARTIAL(partial8, 1, 4, 10, ROW_BLOCKS)
PARTIAL(partial16, 2, 4, 10, 1)
PARTIAL(partial32, 4, 4, 8, 1)
PARTIAL(partial64, 8, 3, 6, 1)
#elif defined(PART_COLUMNS)
#include "products.cuh"
PRODUCT(columns256, 256, 2, 1, ToElements)
PRODUCT(columns128, 128, 2, 1, ToElements)
PRODUCT(columnsFew, 128, 1, 1, ToElements)
PRODUCT(logitsFew, 64, 1, 1, ToFloatSums)
#elif defined(PART_SWIGLU)
#include "products.cuh"
PRODUCT(swiglu256, 256, 2, 1, ToGatedElements)
PRODUCT(swigluFew, 128, 1, 1, ToGatedElements)
#elif defined(PART_LEAVES)
#include "products.cuh"
PRODUCT(leaves128, 128, 2, LEAVES, LEAVES_END)
PRODUCT(leavesFew, 64, 1, LEAVES, LEAVES_END)
#elif defined(PART_WIDE)
#include "wide.cuh"
WIDE(floatsWide, 128, 1, ToFloats)
WIDE(floatsWidePair, 128, 2, ToFloats)
WIDE(residualWidePair, 64, 2, ToResidual)
#elif defined(PART_WIDEGATED)
#include "wide.cuh"
WIDE(gatedWide, 128, 1, ToGated)
WIDE(gatedWidePair, 128, 2, ToGated)
#elif defined(PART_PROMPT)
#include "prompts.cuh"
KERNEL(256, (HEAD_SIZE > 128 ? 1 : 2)) attendChunk(const __grid_constant__ PromptArgs args) { attendPrompt(args); }
#elif defined(PART_CLUSTER)
#include "attention.cuh"
ATTENTION(attentionCluster, true, SHALLOW, SHALLOW_BLOCKS)
ATTENTION(attentionClusterDeep, true, DEEP, 1)
#elif defined(PART_SPLIT)
#include "attention.cuh"
ATTENTION(attentionSplit, false, SHALLOW, SHALLOW_BLOCKS)
ATTENTION(attentionSplitDeep, false, DEEP, 1)
#elif defined(PART_DRAWING)
#include "sampling.cuh"
KERNEL(DRAW_THREADS, 1) drawTokens(const __grid_constant__ DrawArgs args) { draw(args); }
#elif defined(PART_ROWS)
#include "rows.cuh"
#include "chunks.cuh"
KERNEL(512, 1) enter(const __grid_constant__ RowArgs args) { enterRows(args); }
KERNEL(128, 1) gatherLogits(const __grid_constant__ GatherArgs args) { gatherRow(args); }
KERNEL(256, 1) awaitLogits(const __grid_constant__ GatherArgs args) { awaitRows(args); }
KERNEL(512, 1) sumRanks(const __grid_constant__ SumArgs args) { sumOverRanks(args); }
KERNEL(128, 4) place(const __grid_constant__ HeadArgs args) { placeHeads(args); }

KERNEL(256, 4) normChunk(const __grid_constant__ NormArgs args) { normRow(args); }
KERNEL(256, 4) gateChunk(const u16* gates, u16* values, long long count) { gateElements(gates, values, count); }
KERNEL(256, 4) placeChunk(const __grid_constant__ PlaceArgs args) { placeRow(args); }
#endif
