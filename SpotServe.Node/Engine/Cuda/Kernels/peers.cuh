// Sums over the ranks of a stage whose GPUs reach each other's memory. Always the tree of the host's RankSum,
// ((r0 + r1) + (r2 + r3)) + ((r4 + r5) + (r6 + r7)), in float32, so that nobody can tell who added.
//
// Of a decode pass: whoever makes a number writes it into every rank's memory together with the sum's number, 64 bits
// at once, and whoever needs it looks until that number is there: mostly the very thread that wrote this rank's part.
// So there are no barriers, and what an abandoned step left behind is never taken for anything else. Of a prompt's
// chunk: each rank has its numbers where all can read them, adds its part over all ranks, gives every rank the sum, and
// the ranks meet before and after.
#pragma once
#include "primitives.cuh"

#define RANKS_MAX 8
#define TURNS_A_LOOK 256           // looks at a sum between two at what ends the wait
#define NANOSECONDS_A_LOOK 200000  // between two looks of a GPU at the host's words, which lie behind the host's link

/// Where a rank's part of a sum goes.
struct PushArgs {
  u8* to[RANKS_MAX];      // of each rank
  const u32* sequence;    // [0]: number of the pass's first sum, [1]: the step; null where the host sums
  u32 index;              // of this sum in the pass
  int ranks, rank;
  int hasOwners;          // each tile's parts go to one rank, which adds them and pushes the sum
};

/// What ends a wait without its sum.
struct PatienceArgs {
  u32* words;             // host's memory: [0] latest step that a rank abandoned, [1] the collective is over, [2] set
                          // here: a sum was given up
  u64* looked;            // this GPU's: [0] when one of its threads last looked at the words, [1] what it saw of two
  u64 nanoseconds;        // longest wait
};

// ---- memory that other GPUs write or read: nothing of it may be cached here, and 64 bits come whole ----
DEVICE void storePair(void* p, u64 a, u64 b) {
  asm volatile("st.relaxed.sys.global.v2.b64 [%0], {%1, %2};" :: "l"(p), "l"(a), "l"(b) : "memory");
}
DEVICE void loadPair(const void* p, u64& a, u64& b) {
  asm volatile("ld.relaxed.sys.global.v2.b64 {%0, %1}, [%2];" : "=l"(a), "=l"(b) : "l"(p) : "memory");
}
DEVICE void storeFlag(u32* p, u32 v) {
  asm volatile("st.release.sys.global.u32 [%0], %1;" :: "l"(p), "r"(v) : "memory");
}
DEVICE u32 loadFlag(const u32* p) {
  u32 v;
  asm volatile("ld.acquire.sys.global.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
  return v;
}
DEVICE u32 loadWord(const u32* p) {
  u32 v;
  asm volatile("ld.relaxed.sys.global.u32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
  return v;
}
DEVICE void storeWord(u32* p, u32 v) {
  asm volatile("st.relaxed.sys.global.u32 [%0], %1;" :: "l"(p), "r"(v) : "memory");
}
DEVICE u64 loadTime(const u64* p) {
  u64 v;
  asm volatile("ld.relaxed.gpu.global.u64 %0, [%1];" : "=l"(v) : "l"(p) : "memory");
  return v;
}
/// True for the one thread that puts `next` in the place of `last`.
DEVICE bool replaceTime(u64* p, u64 last, u64 next) {
  u64 was;
  asm volatile("atom.relaxed.gpu.global.cas.b64 %0, [%1], %2, %3;"
    : "=l"(was) : "l"(p), "l"(last), "l"(next) : "memory");
  return was == last;
}
/// Of the lanes that come here together.
DEVICE bool isFirstOfWarp() {
  u32 below;
  asm("mov.u32 %0, %%lanemask_lt;" : "=r"(below));
  return (__activemask() & below) == 0;
}
DEVICE void fenceSystem() { asm volatile("fence.acq_rel.sys;" ::: "memory"); }
DEVICE u64 nanoseconds() { u64 t; asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(t)); return t; }

/// Counts the looks of one wait, and says when it is over without what was waited for. Tens of thousands of threads may
/// wait at once: if each of them read the host's words, these reads would hold up all that goes over the GPU's link to
/// the host, the other ranks' start included. One of them reads, the others see what it saw.
struct Wait {
  u32 turns;
  u64 began;
  __device__ __forceinline__ bool isOver(const PatienceArgs& args, u32 step) {
    if (++turns % TURNS_A_LOOK) return false;
    const u64 now = nanoseconds();
    if (turns == TURNS_A_LOOK) began = now;
    u32* seen = (u32*)(args.looked + 1);
    const u64 last = loadTime(args.looked);
    if (isFirstOfWarp() && (long long)(now - last) > NANOSECONDS_A_LOOK && replaceTime(args.looked, last, now)) {
      storeWord(seen, loadWord(args.words));
      storeWord(seen + 1, loadWord(args.words + 1));
    }
    const bool over = (int)(loadWord(seen) - step) >= 0 || loadWord(seen + 1) != 0 || now - began > args.nanoseconds;
    if (over) storeFlag(args.words + 2, 1);
    return over;
  }
};

// ---- sums of a decode pass ----
/// Where a lane's two numbers lie, rows g and g + 8 of a 16-row tile, for one token. What a warp of a product has lies
/// together, and within it what one token's reader takes.
DEVICE long long pairPlace(int tile, int token, int tokens, int g) {
  const int tokenTiles = (tokens + 7) >> 3;
  const long long block = ((long long)tile * tokenTiles + (token >> 3)) * 2 + (token & 1);
  return (block * 32 + ((token & 7) >> 1) * 8 + g) * 16;
}
/// `to`: a bit for each rank that gets the numbers.
DEVICE void pushPair(const PushArgs& args, u32 number, long long place, float v0, float v1, u32 to) {
  const u64 tag = (u64)number << 32;
  const u64 a = tag | __float_as_uint(v0), b = tag | __float_as_uint(v1);
#pragma unroll
  for (int r = 0; r < RANKS_MAX; r++) if (to >> r & 1) storePair(args.to[r] + place, a, b);
}
DEVICE u32 allRanks(int ranks) { return (1u << ranks) - 1; }

template<int ranks> DEVICE float rankSum(const float* v) {
  if constexpr (ranks == 1) return v[0];
  else return rankSum<ranks / 2>(v) + rankSum<ranks / 2>(v + ranks / 2);
}

/// The sum over the ranks of what they pushed to one place. `from`: the first rank's part here.
template<int ranks>
DEVICE void receivePair(const u8* from, long long stride, const PatienceArgs& patience, u32 number, u32 step,
                        float& v0, float& v1) {
  u64 a[ranks], b[ranks];
  Wait wait = {0, 0};
  bool isThere;
  do {
    isThere = true;
#pragma unroll
    for (int r = 0; r < ranks; r++) loadPair(from + r * stride, a[r], b[r]);
#pragma unroll
    for (int r = 0; r < ranks; r++) isThere &= (u32)(a[r] >> 32) == number && (u32)(b[r] >> 32) == number;
  } while (!isThere && !wait.isOver(patience, step));
  float low[ranks], high[ranks];
#pragma unroll
  for (int r = 0; r < ranks; r++) { low[r] = __uint_as_float((u32)a[r]); high[r] = __uint_as_float((u32)b[r]); }
  v0 = rankSum<ranks>(low);
  v1 = rankSum<ranks>(high);
}

/// The same for two tokens that a lane has; `place1` below 0: it has one. `own`: the rank whose part is in `v` already;
/// -1 where all parts are to come. False: it was given up.
template<int ranks>
DEVICE bool receivePairs(const u8* from, long long stride, const PatienceArgs& patience, u32 number, u32 step,
                         long long place0, long long place1, int own, Floats& v) {
  u64 a[2][ranks], b[2][ranks];
  const long long second = place1 < 0 ? place0 : place1;
  Wait wait = {0, 0};
  bool isThere;
  do {
    isThere = true;
#pragma unroll
    for (int r = 0; r < ranks; r++)
      if (r != own) {
        loadPair(from + place0 + r * stride, a[0][r], b[0][r]);
        loadPair(from + second + r * stride, a[1][r], b[1][r]);
      }
#pragma unroll
    for (int r = 0; r < ranks; r++)
      isThere &= r == own || ((u32)(a[0][r] >> 32) == number && (u32)(b[0][r] >> 32) == number
                              && (u32)(a[1][r] >> 32) == number && (u32)(b[1][r] >> 32) == number);
  } while (!isThere && !wait.isOver(patience, step));
  float part[4][ranks];
#pragma unroll
  for (int r = 0; r < ranks; r++) {
    part[0][r] = r == own ? v.x : __uint_as_float((u32)a[0][r]);
    part[1][r] = r == own ? v.y : __uint_as_float((u32)a[1][r]);
    part[2][r] = r == own ? v.z : __uint_as_float((u32)b[0][r]);
    part[3][r] = r == own ? v.w : __uint_as_float((u32)b[1][r]);
  }
  v.x = rankSum<ranks>(part[0]); v.y = rankSum<ranks>(part[1]);
  v.z = rankSum<ranks>(part[2]); v.w = rankSum<ranks>(part[3]);
  return isThere;
}

// ---- logits of all ranks, on rank 0 ----
struct GatherArgs {
  const float* logits;    // [tokens][width]: this rank's
  float* to;              // [tokens][stride]: rank 0's memory, this rank's first column
  u32* flags;             // rank 0's memory: [tokens][parts][RANKS_MAX]
  const u32* sequence;
  PatienceArgs patience;
  u32 index;
  int tokens, width, stride, rank, ranks, parts;
};
/// Grid: tokens, parts of a row.
DEVICE void gatherRow(const GatherArgs& args) {
  letDependentsStart();
  awaitPredecessor();
  const int token = blockIdx.x, part = blockIdx.y, from = (int)((long long)args.width * part / args.parts),
            end = (int)((long long)args.width * (part + 1) / args.parts);
  const float* row = args.logits + (long long)token * args.width;
  float* to = args.to + (long long)token * args.stride;
  for (int i = from + threadIdx.x; i < end; i += blockDim.x) to[i] = loadFresh(row + i);
  fenceSystem();
  __syncthreads();
  if (threadIdx.x == 0)
    storeFlag(args.flags + (token * args.parts + part) * RANKS_MAX + args.rank, *args.sequence + args.index);
}
/// One block, on rank 0: ends when all rows are there.
DEVICE void awaitRows(const GatherArgs& args) {
  letDependentsStart();
  awaitPredecessor();
  const u32 number = *args.sequence + args.index, step = args.sequence[1];
  Wait wait = {0, 0};
  for (int i = threadIdx.x; i < args.tokens * args.parts * args.ranks; i += blockDim.x) {
    const u32* flag = args.flags + i / args.ranks * RANKS_MAX + i % args.ranks;
    while (loadFlag(flag) != number && !wait.isOver(args.patience, step)) { }
  }
  fenceSystem();
}

// ---- sums of a prompt's chunk ----
struct SumArgs {
  const Floats* values;           // [count]: this rank's part; null where a product left it in `exchange`
  Floats* into;                   // [count]: takes the sum
  Floats* exchange[RANKS_MAX];    // of each rank, as long
  u32* flags[RANKS_MAX];          // of each rank: [2][blocks][RANKS_MAX]
  PatienceArgs patience;
  long long count;
  u32 number, step;
  int rank, ranks, adds;          // adds: to what is there
};

/// The blocks of one index of all ranks meet. False: they do not.
DEVICE bool meet(const SumArgs& args, int phase) {
  fenceSystem();
  __syncthreads();
  bool isOver = false;
  if (threadIdx.x < args.ranks) {
    const long long place = ((long long)phase * gridDim.x + blockIdx.x) * RANKS_MAX;
    storeFlag(args.flags[threadIdx.x] + place + args.rank, args.number);
    Wait wait = {0, 0};
    while (!isOver && loadFlag(args.flags[args.rank] + place + threadIdx.x) != args.number)
      isOver = wait.isOver(args.patience, args.step);
    fenceSystem();
  }
  return !__syncthreads_or(isOver);
}
DEVICE Floats loadPeer(const Floats* p) {
  Floats v;
  asm volatile("ld.relaxed.sys.global.v4.f32 {%0,%1,%2,%3}, [%4];"
    : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w) : "l"(p) : "memory");
  return v;
}
DEVICE void storePeer(Floats* p, const Floats& v) {
  asm volatile("st.relaxed.sys.global.v4.f32 [%0], {%1,%2,%3,%4};"
    :: "l"(p), "f"(v.x), "f"(v.y), "f"(v.z), "f"(v.w) : "memory");
}

template<int ranks> DEVICE void sumChunk(const SumArgs& args) {
  const long long from = args.count * blockIdx.x / gridDim.x, end = args.count * (blockIdx.x + 1) / gridDim.x;
  Floats* mine = args.exchange[args.rank];
  if (args.values)
    for (long long i = from + threadIdx.x; i < end; i += blockDim.x) storePeer(mine + i, args.values[i]);
  if (!meet(args, 0)) return;
  const long long low = from + (end - from) * args.rank / ranks, high = from + (end - from) * (args.rank + 1) / ranks;
  for (long long i = low + threadIdx.x; i < high; i += blockDim.x) {
    Floats v[ranks], sum;
#pragma unroll
    for (int r = 0; r < ranks; r++) v[r] = loadPeer(args.exchange[r] + i);
    float x[ranks], y[ranks], z[ranks], w[ranks];
#pragma unroll
    for (int r = 0; r < ranks; r++) { x[r] = v[r].x; y[r] = v[r].y; z[r] = v[r].z; w[r] = v[r].w; }
    sum.x = rankSum<ranks>(x); sum.y = rankSum<ranks>(y); sum.z = rankSum<ranks>(z); sum.w = rankSum<ranks>(w);
#pragma unroll
    for (int r = 0; r < ranks; r++) storePeer(args.exchange[r] + i, sum);
  }
  if (!meet(args, 1)) return;
  for (long long i = from + threadIdx.x; i < end; i += blockDim.x) {
    Floats v = loadPeer(mine + i);
    if (args.adds) {
      const Floats old = args.into[i];
      v.x = old.x + v.x; v.y = old.y + v.y; v.z = old.z + v.z; v.w = old.w + v.w;
    }
    args.into[i] = v;
  }
}
DEVICE void sumOverRanks(const SumArgs& args) {
  if (args.ranks == 2) sumChunk<2>(args);
  else if (args.ranks == 4) sumChunk<4>(args);
  else if (args.ranks == 8) sumChunk<8>(args);
}
