// Attention of single tokens over keys and values in pages. One block handles 256 positions (cut at absolute multiples
// of 256) of one kv head of one token, for all GROUP query heads that share the kv head: keys and values are read once.
// Splits are merged in ascending order, so the result does not depend on batch, padding, or which block comes last.
#pragma once
#include "primitives.cuh"

#define SPLIT 256
#define LANES_A_TOKEN (HEAD_SIZE <= 32 ? 4 : HEAD_SIZE <= 64 ? 8 : HEAD_SIZE <= 128 ? 16 : 32)   // 8 elements a lane
#define TOKENS_A_PASS (32 / LANES_A_TOKEN)
#define PASSES 16
#define TOKENS_A_WARP (PASSES * TOKENS_A_PASS)
#define ATTENTION_WARPS (SPLIT / TOKENS_A_WARP)
#define QUERIES_AT_ONCE (GROUP < 4 ? GROUP : 4)
#define NOTHING (-1e30f)

struct AttentionArgs {
  const u16* queries;       // [tokens][queryStride], query heads first
  const u16* pages;         // [page][2][kvHeads][16][HEAD_SIZE]
  const int* table;         // [tokens][tableStride]
  const int* positions;     // [tokens]; -1 for a column that is not in use
  const int* tableFirst;    // [tokens]: index in the sequence of the table's first page
  const int* stable;        // [tokens]: positions of the sequence below this were written by earlier steps
  u16* out;                 // [tokens][queryHeads][HEAD_SIZE]
  float* partial;           // [tokens][kvHeads][splitsMax][GROUP][HEAD_SIZE + 4], for merging over memory
  int* arrived;             // [tokens][kvHeads]; zero between launches
  float scale;
  int window, tableStride, kvHeads, splitsMax, queryStride;
};

/// A split's part of the softmax: largest score, sum of weights and weighted values of one element.
struct Partial { float largest, total, value; };

DEVICE void store(const AttentionArgs& args, int token, int kvHead, int query, int element, const Partial& p) {
  args.out[((long long)token * args.kvHeads * GROUP + kvHead * GROUP + query) * HEAD_SIZE + element] =
      narrow(p.value * inverse(p.total));
}

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

/// `InCluster`: the splits of a token are one cluster and merge in shared memory; else over global memory.
template<bool InCluster> DEVICE void attention(const AttentionArgs& args) {
  SHARED_MEMORY(memory);
  constexpr int PartFloats = GROUP * (HEAD_SIZE + 4);
  float* scores = (float*)memory;                                           // [warp][GROUP][TOKENS_A_WARP]
  float* values = scores + GROUP * SPLIT;                                   // [warp][GROUP][HEAD_SIZE]
  float* stats = values + ATTENTION_WARPS * GROUP * HEAD_SIZE;              // [warp][GROUP][2]
  float* slots = stats + ((ATTENTION_WARPS * GROUP * 2 + 7) & ~7);          // InCluster: [split][GROUP][HEAD_SIZE + 4]
  const u32 arrival = sharedAddress(slots + (InCluster ? 8 * PartFloats : 0));
  int* isLast = (int*)slots;
  const int block = blockIdx.x, kvHead = blockIdx.y, token = blockIdx.z, warp = threadIdx.x >> 5,
            lane = threadIdx.x & 31;
  letDependentsStart();
  const int length = loadFresh(args.positions + token) + 1, stable = loadFresh(args.stable + token);
  const int first = args.window > 0 ? max(0, length - args.window) : 0, firstSplit = first / SPLIT;
  const int splits = (length + SPLIT - 1) / SPLIT - firstSplit;
  if (InCluster) {
    if (threadIdx.x == 0) { barrierInit(arrival); barrierExpect(arrival, splits * GROUP * (HEAD_SIZE + 2) * 4); }
    __syncthreads();
    clusterArrive();
  }
  if (block >= splits) {
    if (InCluster) clusterWait();
    awaitPredecessor();
    return;
  }

  // A lane holds 8 elements of one token a pass; lanes beyond a head that is no power of two read nothing.
  const int lead = lane / LANES_A_TOKEN, at = lane % LANES_A_TOKEN * 8;
  const bool isInHead = at < HEAD_SIZE;
  const int begin = (firstSplit + block) * SPLIT + warp * TOKENS_A_WARP;
  const int* table = args.table + (long long)token * args.tableStride - loadFresh(args.tableFirst + token);
  constexpr int PassesAPage = 16 / TOKENS_A_PASS;
  constexpr int PagesAWarp = TOKENS_A_WARP / 16;
  const u16* keys[PagesAWarp];
  const long long halfStride = (long long)args.kvHeads * 16 * HEAD_SIZE;
#pragma unroll
  for (int i = 0; i < PagesAWarp; i++) {
    const long long page = begin + i * 16 < length ? loadFresh(table + begin / 16 + i) : 0;
    keys[i] = args.pages + (page * 2 * args.kvHeads + kvHead) * 16 * HEAD_SIZE + lead * HEAD_SIZE + at;
    if (lane == 0 && begin + i * 16 < length) prefetchToL2(keys[i] + halfStride, 32 * HEAD_SIZE);
  }
  auto isSeen = [&](int i) { const int p = begin + i * TOKENS_A_PASS + lead; return p < length && p >= first; };
  auto place = [&](int i) { return keys[i / PassesAPage] + i % PassesAPage * TOKENS_A_PASS * HEAD_SIZE; };
  Words held[PASSES];
#pragma unroll
  for (int i = 0; i < PASSES; i++) {
    held[i].x = held[i].y = held[i].z = held[i].w = 0;
    if (isInHead && isSeen(i) && begin + i * TOKENS_A_PASS + lead < stable) held[i] = loadConstant(place(i));
  }
  if (InCluster) clusterWait();
  awaitPredecessor();
  if (begin + TOKENS_A_WARP > stable) {       // keys that this step wrote
#pragma unroll
    for (int i = 0; i < PASSES; i++)
      if (isInHead && isSeen(i) && begin + i * TOKENS_A_PASS + lead >= stable) held[i] = loadFresh(place(i));
  }

  float* myScores = scores + warp * GROUP * TOKENS_A_WARP;
  const u16* query = args.queries + (long long)token * args.queryStride + kvHead * GROUP * HEAD_SIZE + at;
  const float factor = args.scale * LOG2E;
#pragma unroll 1
  for (int g = 0; g < GROUP; g += QUERIES_AT_ONCE) {
    float q[QUERIES_AT_ONCE][8];
#pragma unroll
    for (int j = 0; j < QUERIES_AT_ONCE; j++) {
      Words w;
      w.x = w.y = w.z = w.w = 0;
      if (isInHead && g + j < GROUP) w = loadFresh((const void*)(query + (g + j) * HEAD_SIZE));
      widen8(w, q[j]);
#pragma unroll
      for (int e = 0; e < 8; e++) q[j][e] *= factor;
    }
    const bool isLastTurn = g + QUERIES_AT_ONCE >= GROUP;
#pragma unroll
    for (int i = 0; i < PASSES; i++) {
      float k[8];
      widen8(held[i], k);
      if (isLastTurn) {       // the keys are not needed any more: values take their place
        held[i].x = held[i].y = held[i].z = held[i].w = 0;
        if (isInHead && isSeen(i)) held[i] = loadFresh(place(i) + halfStride);
      }
#pragma unroll
      for (int j = 0; j < QUERIES_AT_ONCE; j++) {
        float d = 0.f;
#pragma unroll
        for (int e = 0; e < 8; e++) d = __fmaf_rn(q[j][e], k[e], d);
        d = laneSum<1, LANES_A_TOKEN>(d);
        if (at == 0 && g + j < GROUP)
          myScores[(g + j) * TOKENS_A_WARP + i * TOKENS_A_PASS + lead] = isSeen(i) ? d : NOTHING;
      }
    }
  }
  __syncwarp();

  // Weights of the softmax within the warp's tokens.
#pragma unroll 1
  for (int g = 0; g < GROUP; g++) {
    float* s = myScores + g * TOKENS_A_WARP;
    float largest = NOTHING, total = 0.f;
#pragma unroll
    for (int t = 0; t < TOKENS_A_WARP; t += 32) if (t + lane < TOKENS_A_WARP) largest = fmaxf(largest, s[t + lane]);
#pragma unroll
    for (int bit = 16; bit; bit >>= 1) largest = fmaxf(largest, __shfl_xor_sync(FULL_MASK, largest, bit));
#pragma unroll
    for (int t = 0; t < TOKENS_A_WARP; t += 32) if (t + lane < TOKENS_A_WARP) {
      const float score = s[t + lane], weight = score == NOTHING ? 0.f : exp2Fast(score - largest);
      s[t + lane] = weight;
      total += weight;
    }
    total = laneSum<1, 32>(total);
    if (lane == 0) { stats[(warp * GROUP + g) * 2] = largest; stats[(warp * GROUP + g) * 2 + 1] = total; }
  }
  __syncwarp();

#pragma unroll 1
  for (int g = 0; g < GROUP; g += QUERIES_AT_ONCE) {
    float o[QUERIES_AT_ONCE][8];
#pragma unroll
    for (int j = 0; j < QUERIES_AT_ONCE; j++)
#pragma unroll
      for (int e = 0; e < 8; e++) o[j][e] = 0.f;
#pragma unroll
    for (int i = 0; i < PASSES; i++) {
      float v[8];
      widen8(held[i], v);
#pragma unroll
      for (int j = 0; j < QUERIES_AT_ONCE; j++) {
        const float weight = g + j < GROUP ? myScores[(g + j) * TOKENS_A_WARP + i * TOKENS_A_PASS + lead] : 0.f;
#pragma unroll
        for (int e = 0; e < 8; e++) o[j][e] = __fmaf_rn(weight, v[e], o[j][e]);
      }
    }
#pragma unroll
    for (int j = 0; j < QUERIES_AT_ONCE; j++)
#pragma unroll
      for (int e = 0; e < 8; e++) {
        const float sum = laneSum<LANES_A_TOKEN, 32>(o[j][e]);
        if (lead == 0 && isInHead && g + j < GROUP) values[(warp * GROUP + g + j) * HEAD_SIZE + at + e] = sum;
      }
  }
  __syncthreads();

  const long long column = (long long)token * args.kvHeads + kvHead;
  float* parts = InCluster ? nullptr : args.partial + column * args.splitsMax * PartFloats;
#pragma unroll 1
  for (int i = threadIdx.x; i < GROUP * HEAD_SIZE; i += ATTENTION_WARPS * 32) {
    const int g = i / HEAD_SIZE, element = i % HEAD_SIZE;
    const Partial p = merge(ATTENTION_WARPS, [&](int w, int field) {
      return field == 0 ? values[(w * GROUP + g) * HEAD_SIZE + element] : stats[(w * GROUP + g) * 2 + field - 1];
    });
    if (splits == 1) { store(args, token, kvHead, g, element, p); continue; }
    const int slot = block * PartFloats + g * (HEAD_SIZE + 4);
    if (InCluster) {
      const u32 there = addressIn(sharedAddress(slots + slot), 0), barrier = addressIn(arrival, 0);
      storeRemote(there + element * 4, p.value, barrier);
      if (element == 0) {
        storeRemote(there + HEAD_SIZE * 4, p.largest, barrier);
        storeRemote(there + HEAD_SIZE * 4 + 4, p.total, barrier);
      }
    } else {
      parts[slot + element] = p.value;
      if (element == 0) { parts[slot + HEAD_SIZE] = p.largest; parts[slot + HEAD_SIZE + 1] = p.total; }
    }
  }
  if (splits == 1) return;

  if (InCluster) {
    if (block != 0) return;
    barrierWait(arrival, 0);
#pragma unroll 1
    for (int i = threadIdx.x; i < GROUP * HEAD_SIZE; i += ATTENTION_WARPS * 32) {
      const int g = i / HEAD_SIZE, element = i % HEAD_SIZE;
      store(args, token, kvHead, g, element, merge(splits, [&](int s, int field) {
        return slots[s * PartFloats + g * (HEAD_SIZE + 4) + (field == 0 ? element : HEAD_SIZE + field - 1)];
      }));
    }
    return;
  }

  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) *isLast = atomicAdd(args.arrived + column, 1) == splits - 1;
  __syncthreads();
  if (!*isLast) return;
  __threadfence();
#pragma unroll 1
  for (int i = threadIdx.x; i < GROUP * HEAD_SIZE; i += ATTENTION_WARPS * 32) {
    const int g = i / HEAD_SIZE, element = i % HEAD_SIZE;
    store(args, token, kvHead, g, element, merge(splits, [&](int s, int field) {
      return loadFresh(parts + s * PartFloats + g * (HEAD_SIZE + 4) + (field == 0 ? element : HEAD_SIZE + field - 1));
    }));
  }
  if (threadIdx.x == 0) args.arrived[column] = 0;
}
