// What happens to whole rows outside the products: entering the stage, sums over ranks, norms of heads.
#pragma once
#include "peers.cuh"

struct RowArgs {
  const u16* embedding;    // [rows of the vocabulary here][width], or null: the values come from `values`
  const float* values;     // [tokens][width]
  const int* ids;          // [tokens]
  float* residual;         // [tokens][width]
  u16* gained;             // [tokens][width]: residual * gain
  const float* gain;       // [width]
  float* squares;          // [tokens][width / 16]
  int width, firstId, idCount, adds;
  PushArgs push;           // where the row goes instead, as this rank's part of a sum
  const u8* from;          // what the ranks pushed here, to be added up; null where the values come from elsewhere
  long long stride;        // between two ranks' parts
  PatienceArgs patience;
};

DEVICE void receiveRow(const RowArgs& args, long long place, u32 number, u32 step, float& h0, float& h1) {
  const u8* from = args.from + place;
  if (args.push.ranks == 2) receivePair<2>(from, args.stride, args.patience, number, step, h0, h1);
  else if (args.push.ranks == 4) receivePair<4>(from, args.stride, args.patience, number, step, h0, h1);
  else receivePair<8>(from, args.stride, args.patience, number, step, h0, h1);
}

/// A row enters the residual stream (or is added to it): the same numbers, in the same order, as an epilogue's.
DEVICE void enterRows(const RowArgs& args) {
  letDependentsStart();
  awaitPredecessor();
  const int token = blockIdx.x, lane = threadIdx.x & 31, groups = args.width / 16;
  const int id = args.embedding ? loadFresh(args.ids + token) - args.firstId : 0;
  const u32 number = args.push.sequence ? (u32)loadFresh((const int*)args.push.sequence) : 0,
            step = args.push.sequence ? (u32)loadFresh((const int*)args.push.sequence + 1) : 0;
  const bool pushes = args.embedding && args.push.sequence;
  const int warps = blockDim.x >> 5;
  for (int first = (blockIdx.y * warps + (threadIdx.x >> 5)) * 4; first < groups; first += gridDim.y * warps * 4) {
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
      } else if (args.from) {
        receiveRow(args, pairPlace(group, token, gridDim.x, g), number + args.push.index, step, h0, h1);
      } else {
        h0 = loadFresh(args.values + at);
        h1 = loadFresh(args.values + at + 8);
      }
      if (pushes)
        pushPair(args.push, number + args.push.index, pairPlace(group, token, gridDim.x, g), h0, h1,
                 allRanks(args.push.ranks));
      if (args.adds) { h0 = loadFresh(args.residual + at) + h0; h1 = loadFresh(args.residual + at + 8) + h1; }
      if (!pushes) { args.residual[at] = h0; args.residual[at + 8] = h1; }
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
