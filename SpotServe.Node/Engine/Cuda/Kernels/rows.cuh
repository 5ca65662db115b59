// What happens to whole rows outside the products: entering the stage, sums over ranks, norms of heads.
#pragma once
#include "primitives.cuh"

struct RowArgs {
  const u16* embedding;    // [rows of the vocabulary here][width], or null: the values come from `values`
  const float* values;     // [tokens][width]
  const int* ids;          // [tokens]
  float* residual;         // [tokens][width]
  u16* gained;             // [tokens][width]: residual * gain
  const float* gain;       // [width]
  float* squares;          // [tokens][width / 16]
  int width, firstId, idCount, adds;
};

/// A row enters the residual stream (or is added to it): the same numbers, in the same order, as an epilogue's.
DEVICE void enterRows(const RowArgs& args) {
  letDependentsStart();
  awaitPredecessor();
  const int token = blockIdx.x, lane = threadIdx.x & 31, groups = args.width / 16;
  const int id = args.embedding ? loadFresh(args.ids + token) - args.firstId : 0;
  for (int first = (threadIdx.x >> 5) * 4; first < groups; first += (blockDim.x >> 5) * 4) {
    const int group = first + (lane & 3), g = lane >> 2, i = group * 16 + g;
    const bool isThere = group < groups;
    const long long at = (long long)token * args.width + i;
    float s = 0.f;
    if (isThere) {
      float h0, h1;
      if (args.embedding) {
        const bool isHere = id >= 0 && id < args.idCount;
        h0 = isHere ? widen(args.embedding[(long long)id * args.width + i]) : 0.f;
        h1 = isHere ? widen(args.embedding[(long long)id * args.width + i + 8]) : 0.f;
      } else {
        h0 = loadFresh(args.values + at);
        h1 = loadFresh(args.values + at + 8);
      }
      if (args.adds) { h0 = loadFresh(args.residual + at) + h0; h1 = loadFresh(args.residual + at + 8) + h1; }
      args.residual[at] = h0; args.residual[at + 8] = h1;
      if (args.gain) {
        args.gained[at] = narrow(h0 * args.gain[i]);
        args.gained[at + 8] = narrow(h1 * args.gain[i + 8]);
      }
      s = h0 * h0 + h1 * h1;
    }
    s = laneSum<4, 32>(s);
    if (isThere && args.gain && g == 0) args.squares[token * groups + group] = s;
  }
}

struct HeadArgs {
  const float* values;     // [tokens][(queryHeads + 2 kvHeads) HEAD_SIZE]
  const float* queryNorm;  // [HEAD_SIZE], or null for none
  const float* keyNorm;
  u16* queries;
  u16* pages;
  const int* table;
  const int* positions;
  const int* tableFirst;
  const float* cosines;    // [position][turned / 2]
  const float* sines;
  float epsilon;
  int turned, tableStride, queryHeads, kvHeads;
};

/// Norms and turns a token's heads and puts keys and values into their pages: for head sizes and norms that the
/// epilogue of the product cannot do, because what belongs together lies in several threads. One warp a head.
DEVICE void placeHeads(const HeadArgs& args) {
  SHARED_MEMORY(memory);
  letDependentsStart();
  awaitPredecessor();
  const int token = blockIdx.x, warp = threadIdx.x >> 5, lane = threadIdx.x & 31,
            heads = args.queryHeads + 2 * args.kvHeads;
  const int head = blockIdx.y * (blockDim.x >> 5) + warp, position = loadFresh(args.positions + token);
  if (head >= heads || position < 0) return;
  float* x = (float*)memory + warp * HEAD_SIZE;
  const float* from = args.values + ((long long)token * heads + head) * HEAD_SIZE;
  float s = 0.f;
  for (int i = lane; i < HEAD_SIZE; i += 32) { x[i] = loadFresh(from + i); s += x[i] * x[i]; }
  const bool isQuery = head < args.queryHeads, isTurned = head < args.queryHeads + args.kvHeads;
  const float* norm = !isTurned ? nullptr : isQuery ? args.queryNorm : args.keyNorm;
  if (norm) {
    s = laneSum<1, 32>(s);
    const float scale = inverseRoot(s / HEAD_SIZE + args.epsilon);
    for (int i = lane; i < HEAD_SIZE; i += 32) x[i] = x[i] * scale * norm[i];
  }
  __syncwarp();
  u16* to;
  if (isQuery) to = args.queries + ((long long)token * args.queryHeads + head) * HEAD_SIZE;
  else {
    const int isValue = isTurned ? 0 : 1, kv = head - args.queryHeads - (isValue ? args.kvHeads : 0);
    const long long page =
        loadFresh(args.table + token * args.tableStride + (position >> 4) - loadFresh(args.tableFirst + token));
    to = args.pages + (((page * 2 + isValue) * args.kvHeads + kv) * 16 + (position & 15)) * HEAD_SIZE;
  }
  const int half = isTurned ? args.turned / 2 : 0;
  for (int i = lane; i < half; i += 32) {
    const float c = args.cosines[(long long)position * half + i], n = args.sines[(long long)position * half + i];
    to[i] = narrow(x[i] * c - x[i + half] * n);
    to[i + half] = narrow(x[i + half] * c + x[i] * n);
  }
  for (int i = 2 * half + lane; i < HEAD_SIZE; i += 32) to[i] = narrow(x[i]);
}
