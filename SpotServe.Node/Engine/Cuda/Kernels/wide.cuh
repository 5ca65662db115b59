// Linear layers of a decode pass of more than 64 tokens, on Hopper's warpgroup instructions: the same sums in the same
// order as linear.cuh has them, so that a token has the same bits in a pass of any size. K is cut into 8 segments, each
// is summed in ascending steps of 16 in one float32 accumulator, and the segments are added as
// ((s0+s1)+(s2+s3))+((s4+s5)+(s6+s7)).
//
// A block makes tiles of 128 tokens by NT rows of the weights; in a cluster of two the tokens differ and the weights
// are brought once for both. Of a gated product half of a tile are rows of gate, half the same rows of up. Compile for
// sm_90a.
#pragma once
#include "epilogues.cuh"
#include "products.cuh"

struct WideArgs {
  TensorMap input;         // [tokens][8][segment], boxes of 64 by 64
  TensorMap weights;       // [rows][8][segment], boxes of NT / 2 rows
  TensorMap second;        // the other matrix of a gated product
  LinearArgs linear;
};

/// 1 / root mean square of each token of the block, by the consumers' 8 warps: the sums of putScales, those of 8 tokens
/// on their way together.
DEVICE void putWideScales(const LinearArgs& args, float* scales, int firstToken, int warp, int lane) {
  constexpr int Together = 8;
#pragma unroll 1
  for (int first = warp; first < PRODUCT_ROWS; first += 8 * Together) {
    float s[Together];
#pragma unroll
    for (int t = 0; t < Together; t++) s[t] = 0.f;
    for (int at = lane * 8; args.squaresIn && at < args.squares; at += SQUARES_A_TURN) {
      Words p[Together][2];
#pragma unroll
      for (int t = 0; t < Together; t++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
          const int token = firstToken + first + t * 8;
          p[t][h].x = p[t][h].y = p[t][h].z = p[t][h].w = 0;
          if (token < args.tokens && at + h * 4 < args.squares)
            p[t][h] = loadFresh((const void*)(args.squaresIn + (long long)token * args.squares + at + h * 4));
        }
#pragma unroll
      for (int t = 0; t < Together; t++) s[t] = addFour(addFour(s[t], p[t][0]), p[t][1]);
    }
#pragma unroll
    for (int t = 0; t < Together; t++) {
      const float sum = laneSum<1, 32>(s[t]);
      if (lane == 0)
        scales[first + t * 8] = args.squaresIn ? inverseRoot(sum * args.inverseWidth + args.epsilon) : 1.f;
    }
  }
}

/// What becomes of the sums: a thread has two neighbouring rows of the weights in every 8, for two tokens 8 apart.
template<int E, int n> DEVICE void endWide(const LinearArgs& args, const float (&d)[n], const float* scales,
                                           int firstToken, int row) {
  const int lane = threadIdx.x & 31, c = (lane & 3) * 2;
#pragma unroll
  for (int h = 0; h < 2; h++) {
    const int local = (threadIdx.x >> 5 & 3) * 16 + (lane >> 2) + h * 8, token = firstToken + local;
    const bool isThere = token < args.tokens;
    const float scale = scales[local];
    if constexpr (E == ToGated) {
#pragma unroll
      for (int j = 0; j < n / 8; j++) {
        float r[2];
#pragma unroll
        for (int e = 0; e < 2; e++) {
          const float v0 = d[j * 4 + h * 2 + e] * scale, v1 = d[n / 2 + j * 4 + h * 2 + e] * scale;
          const float s = v0 * inverse(1.0f + exp2Fast(-v0 * LOG2E));
          r[e] = s * v1;
        }
        if (isThere && row + j * 8 + c < args.rows)
          *(u32*)((u16*)args.out + (long long)token * args.outStride + row + j * 8 + c) =
              (u32)narrow(r[0]) | (u32)narrow(r[1]) << 16;
      }
    } else if constexpr (E == ToFloats) {
#pragma unroll
      for (int j = 0; j < n / 4; j++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
          const int at = row + j * 8 + c + e;
          const float v = d[j * 4 + h * 2 + e] * scale;
          if (isThere && at < args.rows)
            ((float*)args.out)[(long long)token * args.outStride + at] = args.bias ? v + widen(args.bias[at]) : v;
        }
    } else {
      // 16 neighbours are added up as an epilogue of linear.cuh adds them.
#pragma unroll
      for (int t = 0; t < n / 8; t++) {
        float squares = 0.f;
        if (isThere) {
          float2 h0[2];
#pragma unroll
          for (int u = 0; u < 2; u++) {
            const int at = row + t * 16 + u * 8 + c, i = (t * 2 + u) * 4 + h * 2;
            float2* residual = (float2*)(args.residual + (long long)token * args.outStride + at);
            const float2 gain = *(const float2*)(args.gain + at);
            const float2 old = *residual;
            h0[u].x = old.x + d[i] * scale;
            h0[u].y = old.y + d[i + 1] * scale;
            *residual = h0[u];
            *(u32*)(args.gained + (long long)token * args.outStride + at) =
                (u32)narrow(h0[u].x * gain.x) | (u32)narrow(h0[u].y * gain.y) << 16;
          }
          squares = (h0[0].x * h0[0].x + h0[1].x * h0[1].x) + (h0[0].y * h0[0].y + h0[1].y * h0[1].y);
        }
        squares = laneSum<1, 4>(squares);
        if (isThere && (lane & 3) == 0) args.squaresOut[token * args.squares + (row >> 4) + t] = squares;
      }
    }
  }
}

template<int NT, int Cluster, int E> DEVICE void wide(const WideArgs& args) {
  SHARED_MEMORY(memory);
  // With 128 rows registers have no room for the sum of the first four segments: it waits in shared memory.
  constexpr bool Keeps = NT == 64;
  constexpr int Each = NT / 2, KeptBytes = Keeps ? 0 : 256 * Each * 4;
  constexpr int StageBytes = PRODUCT_ROWS * 128 + NT * 128, Depth = (RING_BYTES - KeptBytes) / StageBytes;
  constexpr int TileRows = E == ToGated ? NT / 2 : NT, BoxRows = NT / 2, BoxBytes = BoxRows * 128;
  const LinearArgs& linear = args.linear;
  const u32 ring = (sharedAddress(memory) + 1023) & ~1023u, full = ring + RING_BYTES, empty = full + Depth * 8;
  __shared__ float scales[PRODUCT_ROWS];
  const int group = threadIdx.x >> 7, rank = Cluster > 1 ? (int)clusterRank() : 0, firstToken = rank * PRODUCT_ROWS;
  letDependentsStart();
  if (threadIdx.x == 0) {
    for (int s = 0; s < Depth; s++) { barrierInitFor(full + s * 8, 1); barrierInitFor(empty + s * 8, 2 * Cluster); }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  __syncthreads();
  if (Cluster > 1) { clusterArrive(); clusterWait(); }
  awaitPredecessor();

  const int tiles = (linear.rows + TileRows - 1) / TileRows, blocks = (linear.segment + 63) >> 6,
            first = (int)blockIdx.x / Cluster, stride = (int)gridDim.x / Cluster;
  int stage = 0;
  u32 phase = 0;
  auto advance = [&]() { if (++stage == Depth) { stage = 0; phase ^= 1; } };
  if (group == 0) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 24;");
    if (threadIdx.x == 0) {
      for (int tile = first; tile < tiles; tile += stride)
        for (int leaf = 0; leaf < 8; leaf++)
          for (int block = 0; block < blocks; block++, advance()) {
            const u32 at = ring + stage * StageBytes, there = full + stage * 8, weights = at + PRODUCT_ROWS * 128;
            barrierWait(empty + stage * 8, phase ^ 1);
            barrierExpect(there, StageBytes);
            loadBox(at, args.input, block * 64, leaf, firstToken, there);
            loadBox(at + 8192, args.input, block * 64, leaf, firstToken + 64, there);
#pragma unroll
            for (int i = 0; i < 2 / Cluster; i++) {
              const int box = Cluster > 1 ? rank : i;
              const TensorMap& map = E == ToGated && box ? args.second : args.weights;
              const int row = tile * TileRows + (E == ToGated ? 0 : box * BoxRows);
              if (Cluster > 1) loadBoxForBoth(weights + box * BoxBytes, map, block * 64, leaf, row, there);
              else loadBox(weights + box * BoxBytes, map, block * 64, leaf, row, there);
            }
          }
    }
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 240;");
    putWideScales(linear, scales, firstToken, (threadIdx.x >> 5) - 4, threadIdx.x & 31);
    barrierOf(1, 256);
    float d[Each], a[Keeps ? Each : 1], b[Each], c[Each];
    float* kept = (float*)(memory + (ring - sharedAddress(memory)) + Depth * StageBytes) + (threadIdx.x - 128);
    auto release = [&](int s) {
      if ((threadIdx.x & 127) != 0) return;
      if (Cluster == 1) arriveAt(empty + s * 8);
      else { arriveIn(empty + s * 8, 0); arriveIn(empty + s * 8, 1); }
    };
    for (int tile = first; tile < tiles; tile += stride) {
#pragma unroll
      for (int leaf = 0; leaf < 8; leaf++) {
        int last = 0;
#pragma unroll
        for (int i = 0; i < Each; i++) d[i] = 0.f;
        for (int block = 0; block < blocks; block++) {
          const u32 at = ring + stage * StageBytes;
          barrierWait(full + stage * 8, phase);
          productsBegin();
          const u64 x = descriptorOf(at + (group - 1) * 8192), w = descriptorOf(at + PRODUCT_ROWS * 128);
#pragma unroll
          for (int step = 0; step < 4; step++) multiply(d, x + step * 2, w + step * 2);
          productsCommit();
          awaitProducts<1>();
          if (block > 0) release(last);
          last = stage;
          advance();
        }
        awaitProducts<0>();
        keepInPlace(d);
        release(last);
#pragma unroll
        for (int i = 0; i < Each; i++) {
          if (leaf == 0 || leaf == 4) b[i] = d[i];
          else if (leaf == 1 || leaf == 5) b[i] += d[i];
          else if (leaf == 2 || leaf == 6) c[i] = d[i];
          else b[i] += c[i] + d[i];
          if (leaf == 3) { if (Keeps) a[Keeps ? i : 0] = b[i]; else kept[i * 256] = b[i]; }
          if (leaf == 7) b[i] = (Keeps ? a[Keeps ? i : 0] : kept[i * 256]) + b[i];
        }
      }
      endWide<E>(linear, b, scales + (group - 1) * 64, firstToken + (group - 1) * 64, tile * TileRows);
    }
  }
  // Nobody leaves while the other may still write here.
  if (Cluster > 1) { clusterArrive(); clusterWait(); }
}
