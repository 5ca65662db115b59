// What the kernels share: types, memory access, tensor core instructions. No headers, so that NVRTC needs none.
//
// Defined by the compiler's options, where a part of the kernels needs them: HEAD_SIZE, GROUP (query heads that share a
// kv head), ROW_SEGMENTS (K segments that a rank holds of a row-parallel matrix), ROW_WARPS and ROW_BLOCKS (warps of
// such a product's block, blocks that a multiprocessor has room for), ELEMENT_FLOAT16 where the weights are float16
// instead of bfloat16. Compile with --fmad=false: the order and the rounding of every sum is written out, never left to
// the compiler.
#pragma once

typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;
typedef unsigned long long u64;

struct Words { u32 x, y, z, w; };       // 16 bytes: 8 elements
struct Floats { float x, y, z, w; };

#define DEVICE static __device__ __forceinline__
#define SHARED_MEMORY(name) extern __shared__ __align__(1024) u8 name[]
#define FULL_MASK 0xffffffffu
#define LOG2E 1.4426950408889634f

// ---- elements: 16-bit weights and activations ----
#ifdef ELEMENT_FLOAT16
DEVICE float widen(u16 v) { float r; asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(v)); return r; }
DEVICE float widenLow(u32 v) { return widen((u16)(v & 0xffff)); }
DEVICE float widenHigh(u32 v) { return widen((u16)(v >> 16)); }
DEVICE u16 narrow(float v) { u16 r; asm("cvt.rn.f16.f32 %0, %1;" : "=h"(r) : "f"(v)); return r; }
#define MMA_TYPES "f32.f16.f16.f32"
#else
DEVICE float widen(u16 v) { return __uint_as_float((u32)v << 16); }
DEVICE float widenLow(u32 v) { return __uint_as_float(v << 16); }
DEVICE float widenHigh(u32 v) { return __uint_as_float(v & 0xffff0000u); }
DEVICE u16 narrow(float v) { u16 r; asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(r) : "f"(v)); return r; }
#define MMA_TYPES "f32.bf16.bf16.f32"
#endif

DEVICE void widen8(const Words& v, float (&r)[8]) {
  r[0] = widenLow(v.x); r[1] = widenHigh(v.x); r[2] = widenLow(v.y); r[3] = widenHigh(v.y);
  r[4] = widenLow(v.z); r[5] = widenHigh(v.z); r[6] = widenLow(v.w); r[7] = widenHigh(v.w);
}

// ---- arithmetic of one fixed rounding ----
DEVICE float exp2Fast(float x) { float y; asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x)); return y; }
DEVICE float inverseRoot(float x) { float y; asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x)); return y; }
DEVICE float inverse(float x) { float y; asm("rcp.rn.f32 %0, %1;" : "=f"(y) : "f"(x)); return y; }

/// Sum over the lanes whose numbers differ in the bits [from, to): a tree of fixed shape.
template<int from, int to> DEVICE float laneSum(float v) {
#pragma unroll
  for (int bit = from; bit < to; bit <<= 1) v += __shfl_xor_sync(FULL_MASK, v, bit);
  return v;
}

// ---- programmatic dependent launch: the next kernel may start now; what the one before wrote is there from here ----
DEVICE void letDependentsStart() { asm volatile("griddepcontrol.launch_dependents;" ::: "memory"); }
DEVICE void awaitPredecessor() { asm volatile("griddepcontrol.wait;" ::: "memory"); }

// ---- global memory. What another kernel of the step wrote is read past L1 (.cg); constants through it (.nc) ----
DEVICE Words loadConstant(const void* p) {
  Words v;
  asm volatile("ld.global.nc.L1::no_allocate.L2::256B.v4.u32 {%0,%1,%2,%3}, [%4];"
    : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p));
  return v;
}
DEVICE Words loadFresh(const void* p) {
  Words v;
  asm volatile("ld.global.cg.v4.u32 {%0,%1,%2,%3}, [%4];"
    : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p) : "memory");
  return v;
}
DEVICE float loadFresh(const float* p) {
  float v;
  asm volatile("ld.global.cg.f32 %0, [%1];" : "=f"(v) : "l"(p) : "memory");
  return v;
}
DEVICE int loadFresh(const int* p) {
  int v;
  asm volatile("ld.global.cg.s32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
  return v;
}
DEVICE void prefetchToL2(const void* p, u32 bytes) {
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" :: "l"(p), "r"(bytes) : "memory");
}

// ---- shared memory ----
DEVICE u32 sharedAddress(const void* p) { return (u32)__cvta_generic_to_shared(p); }
DEVICE Floats loadShared4(u32 a) {
  Floats v;
  asm volatile("ld.shared.v4.f32 {%0,%1,%2,%3}, [%4];"
               : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w)
               : "r"(a)
               : "memory");
  return v;
}
DEVICE float loadShared(u32 a) {
  float v;
  asm volatile("ld.shared.f32 %0, [%1];" : "=f"(v) : "r"(a) : "memory");
  return v;
}
DEVICE void storeShared4(u32 a, const float (&v)[4]) {
  asm volatile("st.shared.v4.f32 [%0], {%1,%2,%3,%4};" ::"r"(a), "f"(v[0]), "f"(v[1]), "f"(v[2]), "f"(v[3]) : "memory");
}

/// 16 bytes into shared memory; with isThere false the place is filled with zeros and nothing is read.
DEVICE void copyAsync(u32 to, const void* from, bool isThere) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" :: "r"(to), "l"(from), "r"(isThere ? 16 : 0));
}
/// The same for weights, which are read once and in whole lines.
DEVICE void copyWeightsAsync(u32 to, const void* from, bool isThere) {
  asm volatile("cp.async.cg.shared.global.L2::256B [%0], [%1], 16, %2;" :: "r"(to), "l"(from), "r"(isThere ? 16 : 0));
}
DEVICE void commitCopies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template<int pending> DEVICE void awaitCopies() { asm volatile("cp.async.wait_group %0;" :: "n"(pending) : "memory"); }
DEVICE void barrierOf(int id, int threads) { asm volatile("bar.sync %0, %1;" :: "r"(id), "r"(threads) : "memory"); }

// ---- tensor cores ----
DEVICE void loadMatrices(u32 (&r)[4], u32 a) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
    : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(a) : "memory");
}
DEVICE void loadMatricesTransposed(u32 (&r)[4], u32 a) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
    : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(a) : "memory");
}
/// c[16 rows, 8 tokens] += a[16, 16] b[16, 8].
DEVICE void multiplyAdd(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col." MMA_TYPES " {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
    : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// ---- clusters: blocks that write each other's shared memory ----
DEVICE u32 clusterRank() { u32 r; asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(r)); return r; }
DEVICE u32 clusterIndex() { u32 r; asm volatile("mov.u32 %0, %%clusterid.x;" : "=r"(r)); return r; }
DEVICE u32 clusterCount() { u32 r; asm volatile("mov.u32 %0, %%nclusterid.x;" : "=r"(r)); return r; }
DEVICE u32 addressIn(u32 a, u32 rank) {
  u32 d;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(d) : "r"(a), "r"(rank));
  return d;
}
DEVICE void clusterArrive() { asm volatile("barrier.cluster.arrive.relaxed;" ::: "memory"); }
DEVICE void clusterWait() { asm volatile("barrier.cluster.wait.acquire;" ::: "memory"); }
DEVICE void barrierInit(u32 a) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" :: "r"(a) : "memory");
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
DEVICE void barrierExpect(u32 a, u32 bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" :: "r"(a), "r"(bytes) : "memory");
}
/// Waits for a phase. A barrier that is never completed is a broken kernel: it traps rather than hang the device.
DEVICE void barrierWait(u32 a, u32 phase) {
  u32 done, turns = 0;
  do {
    asm volatile("{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}\n"
      : "=r"(done) : "r"(a), "r"(phase) : "memory");
    if (!done && ++turns > (1u << 22)) __trap();
  } while (!done);
}
DEVICE void storeRemote(u32 a, float x, u32 barrier) {
  asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.f32 [%0], %1, [%2];"
    :: "r"(a), "f"(x), "r"(barrier) : "memory");
}
DEVICE void storeRemote4(u32 a, const Floats& v, u32 barrier) {
  asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.f32 [%0], {%1,%2,%3,%4}, [%5];"
    :: "r"(a), "f"(v.x), "f"(v.y), "f"(v.z), "f"(v.w), "r"(barrier) : "memory");
}
