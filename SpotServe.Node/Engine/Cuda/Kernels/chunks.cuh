// What stands between the products of a prompt's chunk, which libtorch computes: one kernel for each, instead of a
// dozen operations that each read and write all rows.
#pragma once
#include "primitives.cuh"

struct NormArgs {
  const float* values;     // [rows][width]
  const float* weight;     // [width]
  u16* out;                // [rows][width]
  float epsilon;
  int width;
};

/// x / root mean square of the row, times the weight. One block a row.
DEVICE void normRow(const NormArgs& args) {
  __shared__ float sums[32];
  const float* row = args.values + (long long)blockIdx.x * args.width;
  float s = 0.f;
  for (int i = threadIdx.x * 4; i < args.width; i += blockDim.x * 4) {
    const Words v = loadFresh((const void*)(row + i));
    const float x = __uint_as_float(v.x), y = __uint_as_float(v.y), z = __uint_as_float(v.z), w = __uint_as_float(v.w);
    s += x * x; s += y * y; s += z * z; s += w * w;
  }
  s = laneSum<1, 32>(s);
  if ((threadIdx.x & 31) == 0) sums[threadIdx.x >> 5] = s;
  __syncthreads();
  s = 0.f;
  for (int w = 0; w < (int)blockDim.x >> 5; w++) s += sums[w];
  const float scale = inverseRoot(s / args.width + args.epsilon);
  u16* out = args.out + (long long)blockIdx.x * args.width;
  for (int i = threadIdx.x * 4; i < args.width; i += blockDim.x * 4) {
    const Words v = loadFresh((const void*)(row + i));
    ushort4 r;
    r.x = narrow(__uint_as_float(v.x) * scale * args.weight[i]);
    r.y = narrow(__uint_as_float(v.y) * scale * args.weight[i + 1]);
    r.z = narrow(__uint_as_float(v.z) * scale * args.weight[i + 2]);
    r.w = narrow(__uint_as_float(v.w) * scale * args.weight[i + 3]);
    *(ushort4*)(out + i) = r;
  }
}

/// values = silu(gates) * values, 8 elements a thread.
DEVICE void gateElements(const u16* gates, u16* values, long long count) {
  const long long at = ((long long)blockIdx.x * blockDim.x + threadIdx.x) * 8;
  if (at >= count) return;
  float g[8], v[8];
  widen8(*(const Words*)(gates + at), g);
  widen8(*(const Words*)(values + at), v);
  u16 r[8];
#pragma unroll
  for (int e = 0; e < 8; e++) r[e] = narrow(g[e] * inverse(1.0f + exp2Fast(-g[e] * LOG2E)) * v[e]);
  *(Words*)(values + at) = *(const Words*)r;
}

struct PlaceArgs {
  u16* rows;                  // [rows][(queryHeads + 2 kvHeads) HEAD_SIZE]; queries and keys are changed in place
  u16* pages;                 // [page][2][kvHeads][16][HEAD_SIZE]
  const long long* positions; // [rows]
  const long long* slotPages; // [rows]
  const float* queryNorm;     // [HEAD_SIZE], or null
  const float* keyNorm;
  const float* cosines;       // [position][turned / 2]
  const float* sines;
  float epsilon;
  int turned, queryHeads, kvHeads;
};

/// Norms and turns the heads of a chunk's rows; keys and values also go to their pages. One warp a head.
DEVICE void placeRow(const PlaceArgs& args) {
  SHARED_MEMORY(memory);
  const int row = blockIdx.x, lane = threadIdx.x & 31, heads = args.queryHeads + 2 * args.kvHeads;
  const int head = blockIdx.y * (blockDim.x >> 5) + (threadIdx.x >> 5);
  if (head >= heads) return;
  float* x = (float*)memory + (threadIdx.x >> 5) * HEAD_SIZE;
  u16* from = args.rows + ((long long)row * heads + head) * HEAD_SIZE;
  const long long position = args.positions[row];
  float s = 0.f;
  for (int i = lane; i < HEAD_SIZE; i += 32) { x[i] = widen(from[i]); s += x[i] * x[i]; }
  const bool isQuery = head < args.queryHeads, isTurned = head < args.queryHeads + args.kvHeads;
  const float* norm = !isTurned ? nullptr : isQuery ? args.queryNorm : args.keyNorm;
  if (norm) {
    s = laneSum<1, 32>(s);
    const float scale = inverseRoot(s / HEAD_SIZE + args.epsilon);
    for (int i = lane; i < HEAD_SIZE; i += 32) x[i] = x[i] * scale * norm[i];
  }
  __syncwarp();
  u16* to = from;
  if (!isQuery) {
    const int isValue = isTurned ? 0 : 1, kv = head - args.queryHeads - (isValue ? args.kvHeads : 0);
    to = args.pages + (((args.slotPages[row] * 2 + isValue) * args.kvHeads + kv) * 16 + (position & 15)) * HEAD_SIZE;
  }
  const int half = isTurned ? args.turned / 2 : 0;
  for (int i = lane; i < half; i += 32) {
    const float c = args.cosines[position * half + i], n = args.sines[position * half + i];
    to[i] = from[i] = narrow(x[i] * c - x[i + half] * n);
    to[i + half] = from[i + half] = narrow(x[i + half] * c + x[i] * n);
  }
  for (int i = 2 * half + lane; i < HEAD_SIZE; i += 32) to[i] = from[i] = narrow(x[i]);
}
