// Products of prompts' chunks on Hopper's warpgroup instructions: out[row][n] = sum over k of x[row][k] weights[n][k].
//
// A row's sums are made by the same instructions in the same order whatever else is computed: k ascending in steps of
// 16 into one float32 accumulator, in one leaf or in leaves of equal width that are added as (l0 + l1) + (l2 + l3).
// Neither the number of rows, nor how many of the outputs a rank has, nor how tiles are cut takes part in it, so a
// prompt has the same bits in chunks of any length, beside any others, and on every number of ranks that has whole
// leaves.
//
// A block makes tiles of 128 rows by NT outputs (all blocks share the tiles). One thread of the first warpgroup has the
// copy engine bring blocks of 64 k into a ring in shared memory; two warpgroups multiply 64 rows each. In a cluster of
// two blocks the rows differ and the weights are brought once for both. Compile for sm_90a.
#pragma once
#include "primitives.cuh"

#ifdef ELEMENT_FLOAT16
#define WGMMA_TYPES "f32.f16.f16"
#else
#define WGMMA_TYPES "f32.bf16.bf16"
#endif

#define PRODUCT_ROWS 128
#define RING_BYTES 196608

enum ProductEnd {
  ToElements,      // out[row][n], in the weight type (+ bias)
  ToFloatSums,     // out[row][n], float32
  ToGatedElements, // out[row][n] = silu(first matrix's) * second matrix's
  AddedToRows,     // out[row][n] += sum, float32
};

/// How the copy engine is to read a matrix: [rows][leaves][width of a leaf] in boxes of 64 rows by 64 elements of one
/// leaf; what lies beyond a leaf or the last row is read as zeros.
struct __align__(64) TensorMap { u64 words[16]; };

struct ProductArgs {
  TensorMap input;
  TensorMap weights;
  TensorMap second;        // the other matrix of a gated product
  void* out;
  const u16* bias;         // [outputs], or null
  int rows, outputs, outStride, leafWidth;
};

// ---- the copy engine and the barriers that it completes ----
DEVICE void barrierInitFor(u32 a, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" :: "r"(a), "r"(arrivals) : "memory");
}
DEVICE void arriveAt(u32 a) { asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" :: "r"(a) : "memory"); }
/// In a block of the cluster. Not ordered after this thread's writes to memory, which costs half of the speed: nothing
/// that it wrote is read by who waits.
DEVICE void arriveIn(u32 a, u32 rank) {
  asm volatile("mbarrier.arrive.shared::cluster.b64 _, [%0];" :: "r"(addressIn(a, rank)) : "memory");
}
/// A box of 64 rows by 64 elements: element `k` of leaf `leaf` on, row `row` on.
DEVICE void loadBox(u32 to, const TensorMap& map, int k, int leaf, int row, u32 barrier) {
  asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes"
    " [%0], [%1, {%3,%4,%5}], [%2];"
    :: "r"(to), "l"(&map), "r"(barrier), "r"(k), "r"(leaf), "r"(row) : "memory");
}
/// The same into both blocks of a cluster, at the same place in each.
DEVICE void loadBoxForBoth(u32 to, const TensorMap& map, int k, int leaf, int row, u32 barrier) {
  asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster"
    " [%0], [%1, {%3,%4,%5}], [%2], %6;"
    :: "r"(to), "l"(&map), "r"(barrier), "r"(k), "r"(leaf), "r"(row), "h"((u16)3) : "memory");
}

// ---- warpgroup instructions ----
DEVICE void productsBegin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
DEVICE void productsCommit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template<int pending> DEVICE void awaitProducts() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" :: "n"(pending) : "memory");
}
/// Where a matrix of 64-element rows lies in shared memory, 128 bytes a row, swizzled as the copy engine does it.
DEVICE u64 descriptorOf(u32 a) {
  return (u64)((a & 0x3ffff) >> 4) | ((u64)1 << 16) | ((u64)(1024 >> 4) << 32) | ((u64)1 << 62);
}
/// The compiler may not use the sums before this point, nor change them after it.
template<int n> DEVICE void keepInPlace(float (&d)[n]) {
#pragma unroll
  for (int i = 0; i < n; i++) asm volatile("" : "+f"(d[i]) :: "memory");
}
/// d[64 rows, outputs] (+)= a[64, 16] b[outputs, 16].
DEVICE void multiply(float (&d)[64], u64 a, u64 b) {
  asm volatile(
               "wgmma.mma_async.sync.aligned.m64n128k16." WGMMA_TYPES " {"
               "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
               "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
               "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
               "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
               "%64, %65, 1, 1, 1, 0, 0;"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]),
                 "+f"(d[6]), "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]),
                 "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]),
                 "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]),
                 "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]),
                 "+f"(d[30]), "+f"(d[31]), "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]),
                 "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]), "+f"(d[41]),
                 "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]),
                 "+f"(d[48]), "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]),
                 "+f"(d[54]), "+f"(d[55]), "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]),
                 "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63])
               : "l"(a), "l"(b));
}
DEVICE void multiply(float (&d)[32], u64 a, u64 b) {
  asm volatile(
               "wgmma.mma_async.sync.aligned.m64n64k16." WGMMA_TYPES " {"
               "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
               "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
               "%32, %33, 1, 1, 1, 0, 0;"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]),
                 "+f"(d[6]), "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]),
                 "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]),
                 "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]),
                 "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]),
                 "+f"(d[30]), "+f"(d[31])
               : "l"(a), "l"(b));
}

// ---- what becomes of the sums: a thread has two neighbouring outputs in every 8, of two rows 8 apart ----
template<int E, int n> DEVICE void end(const ProductArgs& args, const float (&d)[n], int row, int output) {
  const int lane = threadIdx.x & 31, first = output + (lane & 3) * 2;
#pragma unroll
  for (int h = 0; h < 2; h++) {
    const int r = row + (threadIdx.x >> 5 & 3) * 16 + (lane >> 2) + h * 8;
    if (r >= args.rows) continue;
    const long long at = (long long)r * args.outStride;
    float2 old[E == AddedToRows ? n / 4 : 1];
    if constexpr (E == AddedToRows) {
#pragma unroll
      for (int j = 0; j < n / 4; j++)
        if (first + j * 8 < args.outputs) old[j] = *(const float2*)((const float*)args.out + at + first + j * 8);
    }
#pragma unroll
    for (int j = 0; j < n / 4; j++) {
      const int column = first + j * 8;
      if (column >= args.outputs) continue;
      float x = d[j * 4 + h * 2], y = d[j * 4 + h * 2 + 1];
      if constexpr (E == ToElements) {
        if (args.bias) { x += widen(args.bias[column]); y += widen(args.bias[column + 1]); }
        *(u32*)((u16*)args.out + at + column) = (u32)narrow(x) | (u32)narrow(y) << 16;
      } else if constexpr (E == AddedToRows) {
        x = old[j].x + x;
        y = old[j].y + y;
        *(float2*)((float*)args.out + at + column) = make_float2(x, y);
      } else {
        float* to = (float*)args.out + at + column;
        to[0] = x;
        if (column + 1 < args.outputs) to[1] = y;
      }
    }
  }
}

DEVICE float gated(float gate, float up) { return gate * inverse(1.0f + exp2Fast(-gate * LOG2E)) * up; }

template<int n> DEVICE void endGated(const ProductArgs& args, const float (&gates)[n], const float (&ups)[n], int row,
                                     int output) {
  const int lane = threadIdx.x & 31, first = output + (lane & 3) * 2;
#pragma unroll
  for (int h = 0; h < 2; h++) {
    const int r = row + (threadIdx.x >> 5 & 3) * 16 + (lane >> 2) + h * 8;
    if (r >= args.rows) continue;
#pragma unroll
    for (int j = 0; j < n / 4; j++) {
      const int column = first + j * 8, i = j * 4 + h * 2;
      if (column >= args.outputs) continue;
      *(u32*)((u16*)args.out + (long long)r * args.outStride + column) =
          (u32)narrow(gated(gates[i], ups[i])) | (u32)narrow(gated(gates[i + 1], ups[i + 1])) << 16;
    }
  }
}

template<int NT, int Cluster, int Leaves, int E> DEVICE void product(const ProductArgs& args) {
  SHARED_MEMORY(memory);
  constexpr int StageBytes = PRODUCT_ROWS * 128 + NT * 128, Depth = RING_BYTES / StageBytes, Boxes = NT / 64;
  constexpr bool IsGated = E == ToGatedElements;
  constexpr int Outputs = IsGated ? NT / 2 : NT, Parts = NT == 256 || IsGated ? 2 : 1, Each = NT / Parts / 2;
  const u32 ring = (sharedAddress(memory) + 1023) & ~1023u, full = ring + RING_BYTES, empty = full + Depth * 8;
  const int group = threadIdx.x >> 7, rank = Cluster > 1 ? (int)clusterRank() : 0;
  if (threadIdx.x == 0) {
    for (int s = 0; s < Depth; s++) { barrierInitFor(full + s * 8, 1); barrierInitFor(empty + s * 8, 2 * Cluster); }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  __syncthreads();
  if (Cluster > 1) { clusterArrive(); clusterWait(); }

  const int rowTiles = (args.rows + PRODUCT_ROWS * Cluster - 1) / (PRODUCT_ROWS * Cluster),
            tiles = rowTiles * ((args.outputs + Outputs - 1) / Outputs), blocks = (args.leafWidth + 63) >> 6,
            first = (int)blockIdx.x / Cluster, stride = (int)gridDim.x / Cluster;
  int stage = 0;
  u32 phase = 0;
  auto advance = [&]() { if (++stage == Depth) { stage = 0; phase ^= 1; } };
  if (group == 0) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 24;");
    if (threadIdx.x == 0) {
      for (int tile = first; tile < tiles; tile += stride) {
        const int row = (tile % rowTiles * Cluster + rank) * PRODUCT_ROWS, output = tile / rowTiles * Outputs;
        for (int leaf = 0; leaf < Leaves; leaf++)
          for (int block = 0; block < blocks; block++, advance()) {
            const u32 at = ring + stage * StageBytes, there = full + stage * 8;
            barrierWait(empty + stage * 8, phase ^ 1);
            barrierExpect(there, StageBytes);
            loadBox(at, args.input, block * 64, leaf, row, there);
            loadBox(at + 8192, args.input, block * 64, leaf, row + 64, there);
#pragma unroll
            for (int i = 0; i < Boxes / Cluster; i++) {
              const int box = rank * (Boxes / Cluster) + i, half = E == ToGatedElements ? Boxes / 2 : Boxes;
              const TensorMap& map = box < half ? args.weights : args.second;
              const u32 to = at + PRODUCT_ROWS * 128 + box * 8192;
              const int from = output + (box < half ? box : box - half) * 64;
              if (Cluster > 1) loadBoxForBoth(to, map, block * 64, leaf, from, there);
              else loadBox(to, map, block * 64, leaf, from, there);
            }
          }
      }
    }
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 240;");
    // Sums of the leaf that is being made, and of those before it.
    float d[Parts][Each], kept[Leaves > 1 ? Each : 1], more[Leaves > 2 ? Each : 1];
    auto release = [&](int s) {
      if ((threadIdx.x & 127) != 0) return;
      if (Cluster == 1) arriveAt(empty + s * 8);
      else { arriveIn(empty + s * 8, 0); arriveIn(empty + s * 8, 1); }
    };
    for (int tile = first; tile < tiles; tile += stride) {
#pragma unroll
      for (int leaf = 0; leaf < Leaves; leaf++) {
        int last = 0;
#pragma unroll
        for (int p = 0; p < Parts; p++)
#pragma unroll
          for (int i = 0; i < Each; i++) d[p][i] = 0.f;
        for (int block = 0; block < blocks; block++) {
          const u32 at = ring + stage * StageBytes;
          barrierWait(full + stage * 8, phase);
          productsBegin();
          const u64 a = descriptorOf(at + (group - 1) * 8192), b = descriptorOf(at + PRODUCT_ROWS * 128);
#pragma unroll
          for (int step = 0; step < 4; step++)
#pragma unroll
            for (int p = 0; p < Parts; p++) multiply(d[p], a + step * 2, b + step * 2 + p * (Each * 2 * 128 / 16));
          productsCommit();
          awaitProducts<1>();
          if (block > 0) release(last);
          last = stage;
          advance();
        }
        awaitProducts<0>();
#pragma unroll
        for (int p = 0; p < Parts; p++) keepInPlace(d[p]);
        release(last);
        if constexpr (Leaves > 1) {
#pragma unroll
          for (int i = 0; i < Each; i++) {
            if (leaf == 0) kept[i] = d[0][i];
            else if (leaf == 1) kept[i] += d[0][i];
            else if (leaf == 2) more[Leaves > 2 ? i : 0] = d[0][i];
            else kept[i] += more[Leaves > 2 ? i : 0] + d[0][i];
          }
        }
      }
      const int row = (tile % rowTiles * Cluster + rank) * PRODUCT_ROWS + (group - 1) * 64;
      const int output = tile / rowTiles * Outputs;
      if constexpr (E == ToGatedElements) {
        endGated(args, d[0], d[1], row, output);
      } else if constexpr (Leaves > 1) end<E>(args, kept, row, output);
      else {
#pragma unroll
        for (int p = 0; p < Parts; p++) end<E>(args, d[p], row, output + p * Each * 2);
      }
    }
  }
  // Nobody leaves while the other may still write here.
  if (Cluster > 1) { clusterArrive(); clusterWait(); }
}
