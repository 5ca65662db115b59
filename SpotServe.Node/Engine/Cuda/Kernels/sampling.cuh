// Draws a token from each row of logits, by the same rules as the host's TokenSampler: the first of the largest, or at
// random by a generator whose only inputs are the request's seed and the token's position. One block a row.
#pragma once
#include "primitives.cuh"

#define DRAW_THREADS 1024
#define CANDIDATES 2048
#define BROKEN (-1)         // a logit is no number, or the largest is not finite
#define UNDECIDED (-2)      // so flat a distribution that the host must sort it

struct SamplingArgs {
  float temperature, topP;
  int topK;
  u32 seedLow, seedHigh;
};

struct DrawArgs {
  const float* logits;            // [rows][stride]
  const SamplingArgs* sampling;   // [rows]
  const int* positions;           // [rows]: of the token before the one that is drawn
  int* drawn;                     // [rows]
  int width, stride;
};

/// A number in [0, 1) that depends on nothing but its arguments: SplitMix64's finaliser, twice.
DEVICE u64 mixBits(u64 z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}
DEVICE double uniform(u64 seed, int position) {
  const u64 bits = mixBits(mixBits(seed + 0x9E3779B97F4A7C15ull) + ((u64)(u32)position + 1) * 0x9E3779B97F4A7C15ull);
  return (double)(bits >> 11) * (1.0 / 9007199254740992.0);
}

/// Sum over the block in a fixed order; every thread gets it.
DEVICE double blockSum(double v, double* scratch) {
#pragma unroll
  for (int bit = 16; bit; bit >>= 1) v += __shfl_xor_sync(FULL_MASK, v, bit);
  __syncthreads();
  if ((threadIdx.x & 31) == 0) scratch[threadIdx.x >> 5] = v;
  __syncthreads();
  double sum = 0;
  for (int w = 0; w < DRAW_THREADS / 32; w++) sum += scratch[w];
  return sum;
}
/// scratch[i] becomes the sum of scratch[0..i]; n is at most twice the threads.
DEVICE void scan(double* scratch, int n) {
  for (int step = 1; step < n; step <<= 1) {
    __syncthreads();
    double add[2];
#pragma unroll
    for (int k = 0; k < 2; k++) {
      const int i = threadIdx.x + k * DRAW_THREADS;
      add[k] = i < n && i >= step ? scratch[i - step] : 0;
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < 2; k++) { const int i = threadIdx.x + k * DRAW_THREADS; if (i < n) scratch[i] += add[k]; }
  }
  __syncthreads();
}

/// The first of the largest logits, for every thread; BROKEN where there is none.
DEVICE int firstLargest(const float* row, int width, float& best, float* values, int* indexes) {
  const float infinity = __int_as_float(0x7f800000);
  best = -infinity;
  int index = 0x7fffffff, broken = 0;
  for (int i = threadIdx.x; i < width; i += DRAW_THREADS) {
    const float v = loadFresh(row + i);
    if (v != v) broken = 1;
    if (v > best) { best = v; index = i; }
  }
  auto take = [&](float v, int i) { if (v > best || (v == best && i < index)) { best = v; index = i; } };
#pragma unroll
  for (int bit = 16; bit; bit >>= 1) {
    const float v = __shfl_xor_sync(FULL_MASK, best, bit);
    const int i = __shfl_xor_sync(FULL_MASK, index, bit);
    take(v, i);
  }
  if ((threadIdx.x & 31) == 0) { values[threadIdx.x >> 5] = best; indexes[threadIdx.x >> 5] = index; }
  broken = __syncthreads_or(broken);
  for (int w = 0; w < DRAW_THREADS / 32; w++) take(values[w], indexes[w]);
  return broken || !(best < infinity) || index == 0x7fffffff ? BROKEN : index;
}

/// Draws among all tokens, in order of id.
DEVICE void drawFromAll(const float* row, const DrawArgs& args, float best, int fallback, double temperature,
                        double where, double* scratch, int* result) {
  const int each = (args.width + DRAW_THREADS - 1) / DRAW_THREADS, first = threadIdx.x * each,
            end = min(first + each, args.width);
  double mine = 0;
  for (int i = first; i < end; i++) mine += exp(((double)loadFresh(row + i) - best) / temperature);
  if (threadIdx.x == 0) *result = fallback;
  scratch[threadIdx.x] = mine;
  scan(scratch, DRAW_THREADS);
  const double target = where * scratch[DRAW_THREADS - 1];
  double sum = threadIdx.x ? scratch[threadIdx.x - 1] : 0;
  if (!(target >= sum && target < scratch[threadIdx.x])) return;
  int picked = end - 1;
  for (int i = first; i < end; i++) {
    sum += exp(((double)loadFresh(row + i) - best) / temperature);
    if (target < sum) { picked = i; break; }
  }
  *result = picked;
}

DEVICE void draw(const DrawArgs& args) {
  __shared__ u64 keys[CANDIDATES];
  __shared__ double weights[CANDIDATES];
  __shared__ double sums[DRAW_THREADS / 32];
  __shared__ float bestValues[DRAW_THREADS / 32];
  __shared__ int bestIndexes[DRAW_THREADS / 32], count, nucleus, result;
  letDependentsStart();
  awaitPredecessor();
  const float* row = args.logits + (long long)blockIdx.x * args.stride;
  const u32* raw = (const u32*)(args.sampling + blockIdx.x);
  SamplingArgs sampling;
  sampling.temperature = loadFresh((const float*)raw);
  sampling.topP = loadFresh((const float*)raw + 1);
  sampling.topK = loadFresh((const int*)raw + 2);
  const u64 seed = (u32)loadFresh((const int*)raw + 3) | (u64)(u32)loadFresh((const int*)raw + 4) << 32;
  const int width = args.width, topK = sampling.topK == 0 ? width : min(sampling.topK, width);
  float best;
  const int largest = firstLargest(row, width, best, bestValues, bestIndexes);
  if (largest < 0 || sampling.temperature == 0.f || topK == 1) {
    if (threadIdx.x == 0) args.drawn[blockIdx.x] = largest;
    return;
  }
  const double temperature = sampling.temperature, where = uniform(seed, loadFresh(args.positions + blockIdx.x) + 1);
  if (topK == width && sampling.topP >= 1.f) {
    drawFromAll(row, args, best, largest, temperature, where, weights, &result);
    __syncthreads();
    if (threadIdx.x == 0) args.drawn[blockIdx.x] = result;
    return;
  }

  // The likeliest tokens: those above a share of the largest weight that is low enough to hold what is asked for.
  double total = 0;
  if (topK == width) {
    double mine = 0;
    for (int i = threadIdx.x; i < width; i += DRAW_THREADS)
      mine += exp(((double)loadFresh(row + i) - best) / temperature);
    total = blockSum(mine, sums);
  }
  bool isEnough = false;
  for (double cutoff = 1e-3; !isEnough && cutoff > 1e-10; cutoff *= 1e-3) {
    __syncthreads();
    if (threadIdx.x == 0) count = 0;
    __syncthreads();
    const double reach = log(cutoff) * temperature;
    double mine = 0;
    for (int i = threadIdx.x; i < width; i += DRAW_THREADS) {
      const float v = loadFresh(row + i);
      if ((double)v - best < reach) continue;
      const int slot = atomicAdd(&count, 1);
      const u32 bits = __float_as_uint(v), ordered = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
      if (slot < CANDIDATES) keys[slot] = (u64)~ordered << 32 | (u32)i;
      mine += exp(((double)v - best) / temperature);
    }
    const double mass = blockSum(mine, sums);
    isEnough = count > CANDIDATES || (topK < width ? count >= topK : mass >= sampling.topP * total);
  }
  if (!isEnough || count > CANDIDATES) {
    if (threadIdx.x == 0) args.drawn[blockIdx.x] = UNDECIDED;
    return;
  }

  // Likeliest first, equal ones in order of id: the atomic order above does not matter any more.
  const int found = count;
  int padded = 1;
  while (padded < found) padded <<= 1;
  for (int i = found + threadIdx.x; i < padded; i += DRAW_THREADS) keys[i] = ~0ull;
  for (int size = 2; size <= padded; size <<= 1)
    for (int step = size >> 1; step; step >>= 1) {
      __syncthreads();
      for (int i = threadIdx.x; i < padded; i += DRAW_THREADS) {
        const int other = i ^ step;
        if (other > i && (keys[i] > keys[other]) == ((i & size) == 0)) {
          const u64 k = keys[i];
          keys[i] = keys[other];
          keys[other] = k;
        }
      }
    }
  __syncthreads();
  const int kept = min(topK, found);
  for (int i = threadIdx.x; i < kept; i += DRAW_THREADS)
    weights[i] = exp(((double)loadFresh(row + (u32)keys[i]) - best) / temperature);
  scan(weights, kept);
  if (threadIdx.x == 0) { nucleus = 0; result = kept; }
  __syncthreads();
  const double wanted = sampling.topP * (topK == width ? total : weights[kept - 1]);
  for (int i = threadIdx.x; i < kept; i += DRAW_THREADS)
    if (i == 0 || sampling.topP >= 1.f || weights[i - 1] < wanted) atomicAdd(&nucleus, 1);
  __syncthreads();
  const double target = where * weights[nucleus - 1];
  for (int i = threadIdx.x; i < nucleus; i += DRAW_THREADS) if (target < weights[i]) atomicMin(&result, i);
  __syncthreads();
  if (threadIdx.x == 0) args.drawn[blockIdx.x] = (int)(u32)keys[result < nucleus ? result : 0];
}
