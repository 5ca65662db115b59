// Attention of single tokens over keys and values in pages. One block handles some runs of 256 positions (cut at
// absolute multiples of 256), one after the other, of one kv head of one token, for up to 8 query heads that share the
// kv head: keys and values are read once.
//
// A warp has 64 positions of a run and takes them page by page, ascending, on the tensor cores; the next pages are
// under way meanwhile. What is masked changes no number, and the warps' parts of a run and the runs' parts are merged
// in ascending order, so the result depends neither on the batch, nor on padding, nor on how many runs a block has.
#pragma once
#include "primitives.cuh"

#define SPLIT 256
#define ATTENTION_WARPS 4
#define PAGES_A_WARP (SPLIT / ATTENTION_WARPS / 16)
#define QUERIES (GROUP < 8 ? GROUP : 8)
#define QUERY_BLOCKS ((GROUP + 7) / 8)
#define HEAD_PADDED ((HEAD_SIZE + 15) / 16 * 16)
#define HEAD_PITCH (HEAD_PADDED * 2 + 16)      // bytes; no two rows of a matrix of 8 begin in the same banks
#define PART_PITCH (HEAD_SIZE + 4)             // floats of a part: its values, largest score, total
#define NOTHING (-1e30f)

struct AttentionArgs {
  const u16* queries;       // [tokens][queryStride], query heads first
  const u16* pages;         // [page][2][kvHeads][16][HEAD_SIZE]
  const int* table;         // [tokens][tableStride]
  const int* positions;     // [tokens]; -1 for a column that is not in use
  const int* tableFirst;    // [tokens]: index in the sequence of the table's first page
  const int* stable;        // [tokens]: positions of the sequence below this were written by earlier steps
  u16* out;                 // [tokens][queryHeads][HEAD_SIZE]
  float* partial;           // [tokens][kvHeads * QUERY_BLOCKS][splitsMax][QUERIES][PART_PITCH], to merge over memory
  int* arrived;             // [tokens][kvHeads * QUERY_BLOCKS]; zero between launches
  float scale;
  int window, tableStride, kvHeads, splitsMax, queryStride;
  int splitsEach;           // runs that a block has, 8 at most
};

/// A part's share of the softmax: largest score, sum of weights and weighted values of one element.
struct Partial { float largest, total, value; };

/// Merges n parts in ascending order. `read(i, field)` gives a part's value (0), largest score (1) or total (2).
template<class Read> DEVICE Partial merge(int n, Read read) {
  Partial r;
  r.largest = NOTHING; r.total = 0.f; r.value = 0.f;
  for (int i = 0; i < n; i++) r.largest = fmaxf(r.largest, read(i, 1));
  for (int i = 0; i < n; i++) {
    const float factor = exp2Fast(read(i, 1) - r.largest);
    r.total = __fmaf_rn(read(i, 2), factor, r.total);
    r.value = __fmaf_rn(read(i, 0), factor, r.value);
  }
  return r;
}

DEVICE void store(const AttentionArgs& args, int token, int element, const Partial& p) {
  args.out[(long long)token * args.kvHeads * GROUP * HEAD_SIZE + element] = narrow(p.value * inverse(p.total));
}

/// `InCluster`: the blocks of a token are one cluster and merge in shared memory; else over global memory. `Depth`
/// pages of a warp are under way at a time.
template<bool InCluster, int Depth> DEVICE void attention(const AttentionArgs& args) {
  SHARED_MEMORY(memory);
  constexpr int Steps = HEAD_PADDED / 16, Pieces = HEAD_PADDED / 8, HalfBytes = 16 * HEAD_PITCH;
  constexpr int PartFloats = QUERIES * PART_PITCH, Threads = ATTENTION_WARPS * 32;
  constexpr bool IsPadded = HEAD_PADDED != HEAD_SIZE;
  const int block = blockIdx.x, kvHead = (int)blockIdx.y / QUERY_BLOCKS, token = blockIdx.z, warp = threadIdx.x >> 5,
            lane = threadIdx.x & 31, firstQuery = kvHead * GROUP + (int)blockIdx.y % QUERY_BLOCKS * 8;
  const int queries = QUERY_BLOCKS == 1 ? GROUP : min(8, (kvHead + 1) * GROUP - firstQuery);
  const u32 ring = sharedAddress(memory) + warp * Depth * 2 * HalfBytes;
  float* values = (float*)(memory + ATTENTION_WARPS * Depth * 2 * HalfBytes);      // [warp][QUERIES][PART_PITCH]
  float* slots = values + ATTENTION_WARPS * PartFloats;                // InCluster: [split][QUERIES][PART_PITCH]
  const u32 arrival = sharedAddress(slots + (InCluster ? args.splitsMax * PartFloats : 0));
  int* isLast = (int*)slots;
  letDependentsStart();
  const int length = loadFresh(args.positions + token) + 1, stable = loadFresh(args.stable + token);
  const int first = args.window > 0 ? max(0, length - args.window) : 0, firstSplit = first / SPLIT;
  const int splits = (length + SPLIT - 1) / SPLIT - firstSplit, each = args.splitsEach,
            mine = min(each, splits - block * each);
  const bool isCluster = InCluster && gridDim.x > 1;
  if (isCluster) {
    if (threadIdx.x == 0) { barrierInit(arrival); barrierExpect(arrival, splits * queries * (HEAD_SIZE + 2) * 4); }
    __syncthreads();
    clusterArrive();
  }
  if (mine <= 0) {
    if (isCluster) clusterWait();
    awaitPredecessor();
    return;
  }

  // The warp's pages; lane i knows where the i-th lies.
  const int count = mine * PAGES_A_WARP;
  const int origin = (firstSplit + block * each) * SPLIT + warp * (SPLIT / ATTENTION_WARPS);
  auto begin = [&](int i) { return origin + i / PAGES_A_WARP * SPLIT + i % PAGES_A_WARP * 16; };
  auto isSeen = [&](int i) { return i < count && begin(i) < length && begin(i) + 16 > first; };
  int page = 0;
  if (isSeen(lane))
    page = loadFresh(args.table + (long long)token * args.tableStride - loadFresh(args.tableFirst + token) +
                     (begin(lane) >> 4));
  auto load = [&](int i, int half) {      // keys (0) or values (1) of the i-th page
    if (isSeen(i)) {
      const long long at = __shfl_sync(FULL_MASK, page, i);
      const u16* from = args.pages + ((at * 2 + half) * args.kvHeads + kvHead) * 16 * HEAD_SIZE;
      const u32 to = ring + (i % Depth * 2 + half) * HalfBytes;
#pragma unroll
      for (int p = 0; p < 16 * Pieces / 32; p++) {
        const int row = (p * 32 + lane) / Pieces, piece = (p * 32 + lane) % Pieces, position = begin(i) + row;
        const bool isThere = position < length && position >= first && (!IsPadded || piece * 8 < HEAD_SIZE);
        copyAsync(to + row * HEAD_PITCH + piece * 16, from + (isThere ? row * HEAD_SIZE + piece * 8 : 0), isThere);
      }
    }
    commitCopies();
  };
  int issued = 0;
  for (; issued < Depth && begin(issued) + 16 <= stable; issued++) { load(issued, 0); load(issued, 1); }
  if (isCluster) clusterWait();
  awaitPredecessor();
  for (; issued < Depth; issued++) { load(issued, 0); load(issued, 1); }      // this step wrote some of them

  // A lane has scores of one query (g), and elements g and g + 8 of every 16 of two queries' values (2 c, 2 c + 1).
  const int g = lane >> 2, c = lane & 3;
  u32 q[Steps][2];
#pragma unroll
  for (int s = 0; s < Steps; s++)
#pragma unroll
    for (int h = 0; h < 2; h++) {
      const bool isThere = g < queries && (!IsPadded || s * 16 + h * 8 < HEAD_SIZE);
      const u16* from = args.queries + (long long)token * args.queryStride + (firstQuery + g) * HEAD_SIZE;
      q[s][h] = isThere ? (u32)loadFresh((const int*)(from + s * 16 + h * 8 + c * 2)) : 0;
    }
  const float factor = args.scale * LOG2E;
  float out[Steps][4], largest = NOTHING, total = 0.f;
#pragma unroll
  for (int s = 0; s < Steps; s++) out[s][0] = out[s][1] = out[s][2] = out[s][3] = 0.f;
  const long long column = (long long)token * gridDim.y + blockIdx.y;
  float* parts = InCluster ? nullptr : args.partial + column * args.splitsMax * PartFloats;
  const u32 matrix = ((lane & 7) + (lane >> 4) * 8) * HEAD_PITCH + (lane >> 3 & 1) * 16;
#pragma unroll 1
  for (int i = 0; i < count; i++) {
    const u32 keys = ring + i % Depth * 2 * HalfBytes + matrix;
    const bool isIn = isSeen(i);
    float x[2][2][4];      // [even or odd step][8 positions]
    awaitCopies<2 * Depth - 1>();
    __syncwarp();
    if (isIn) {
#pragma unroll
      for (int n = 0; n < 4; n++)
#pragma unroll
        for (int e = 0; e < 4; e++) x[n >> 1][n & 1][e] = 0.f;
#pragma unroll
      for (int s = 0; s < Steps; s++) {
        u32 b[4];
        loadMatrices(b, keys + s * 32);
        const u32 a[4] = {q[s][0], 0, q[s][1], 0};
        multiplyAdd(x[s & 1][0], a, b[0], b[1]);
        multiplyAdd(x[s & 1][1], a, b[2], b[3]);
      }
      __syncwarp();
    }
    load(i + Depth, 0);
    awaitCopies<2 * Depth - 1>();
    __syncwarp();
    if (isIn) {
      float w[2][2], most = largest, sum = 0.f;
#pragma unroll
      for (int n = 0; n < 2; n++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
          const int position = begin(i) + n * 8 + c * 2 + e;
          w[n][e] = position < length && position >= first ? (x[0][n][e] + x[1][n][e]) * factor : NOTHING;
          most = fmaxf(most, w[n][e]);
        }
      most = fmaxf(most, __shfl_xor_sync(FULL_MASK, most, 1));
      most = fmaxf(most, __shfl_xor_sync(FULL_MASK, most, 2));
      const float fade = exp2Fast(largest - most);
      largest = most;
#pragma unroll
      for (int n = 0; n < 2; n++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
          w[n][e] = w[n][e] == NOTHING ? 0.f : exp2Fast(w[n][e] - most);
          sum += w[n][e];
        }
      total = __fmaf_rn(total, fade, laneSum<1, 4>(sum));
      const float fade0 = __shfl_sync(FULL_MASK, fade, c * 8), fade1 = __shfl_sync(FULL_MASK, fade, c * 8 + 4);
      const u32 b0 = (u32)narrow(w[0][0]) | (u32)narrow(w[0][1]) << 16,
                b1 = (u32)narrow(w[1][0]) | (u32)narrow(w[1][1]) << 16;
#pragma unroll
      for (int s = 0; s < Steps; s++) {
        u32 a[4];
        loadMatricesTransposed(a, keys + HalfBytes + s * 32);
        out[s][0] *= fade0; out[s][1] *= fade1; out[s][2] *= fade0; out[s][3] *= fade1;
        multiplyAdd(out[s], a, b0, b1);
      }
      __syncwarp();
    }
    load(i + Depth, 1);
    if (i % PAGES_A_WARP != PAGES_A_WARP - 1) continue;

    // The run ends: its warps' parts are merged.
    if (i >= PAGES_A_WARP) __syncthreads();      // the parts of the run before are read
#pragma unroll
    for (int s = 0; s < Steps; s++)
#pragma unroll
      for (int e = 0; e < 4; e++) {
        const int query = c * 2 + (e & 1), element = s * 16 + g + (e >> 1) * 8;
        if (query < QUERIES && (!IsPadded || element < HEAD_SIZE))
          values[(warp * QUERIES + query) * PART_PITCH + element] = out[s][e];
        out[s][e] = 0.f;
      }
    if (c == 0 && g < QUERIES) {
      values[(warp * QUERIES + g) * PART_PITCH + HEAD_SIZE] = largest;
      values[(warp * QUERIES + g) * PART_PITCH + HEAD_SIZE + 1] = total;
    }
    largest = NOTHING;
    total = 0.f;
    __syncthreads();
#pragma unroll 1
    for (int j = threadIdx.x; j < queries * HEAD_SIZE; j += Threads) {
      const int query = j / HEAD_SIZE, element = j % HEAD_SIZE;
      const Partial p = merge(ATTENTION_WARPS, [&](int w, int field) {
        return values[(w * QUERIES + query) * PART_PITCH + (field == 0 ? element : HEAD_SIZE + field - 1)];
      });
      if (splits == 1) { store(args, token, firstQuery * HEAD_SIZE + j, p); continue; }
      const int slot = (block * each + i / PAGES_A_WARP) * PartFloats + query * PART_PITCH;
      if (isCluster) {
        const u32 there = addressIn(sharedAddress(slots + slot), 0), barrier = addressIn(arrival, 0);
        storeRemote(there + element * 4, p.value, barrier);
        if (element == 0) {
          storeRemote(there + HEAD_SIZE * 4, p.largest, barrier);
          storeRemote(there + HEAD_SIZE * 4 + 4, p.total, barrier);
        }
      } else {
        float* to = (InCluster ? slots : parts) + slot;
        to[element] = p.value;
        if (element == 0) { to[HEAD_SIZE] = p.largest; to[HEAD_SIZE + 1] = p.total; }
      }
    }
  }
  if (splits == 1) return;

  if (InCluster) {
    if (block != 0) return;
    if (isCluster) barrierWait(arrival, 0);
    else __syncthreads();
  } else {
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) *isLast = atomicAdd(args.arrived + column, 1) == (splits + each - 1) / each - 1;
    __syncthreads();
    if (!*isLast) return;
    __threadfence();
    if (threadIdx.x == 0) args.arrived[column] = 0;
  }
#pragma unroll 1
  for (int j = threadIdx.x; j < queries * HEAD_SIZE; j += Threads) {
    const int query = j / HEAD_SIZE, element = j % HEAD_SIZE;
    store(args, token, firstQuery * HEAD_SIZE + j, merge(splits, [&](int s, int field) {
      const int at = s * PartFloats + query * PART_PITCH + (field == 0 ? element : HEAD_SIZE + field - 1);
      return InCluster ? slots[at] : loadFresh(parts + at);
    }));
  }
}
