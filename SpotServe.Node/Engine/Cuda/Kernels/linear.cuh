// Linear layers for up to 64 tokens: every weight is read once, at the memory's rate.
//
// out[token][row] = sum over k of weights[row][k] x[token][k]. K is cut into 8 segments; a segment is summed in
// ascending order in one float32 accumulator of mma.sync, and the segments are added as
// ((s0+s1)+(s2+s3))+((s4+s5)+(s6+s7)). Columns (tokens) do not see each other, so neither the batch nor its padding
// changes a bit. A rank of M holds 8 / M segments of a row-parallel matrix, adds its part of the same tree, and the
// ranks add the rest: on the host, or here, tile by tile, so that a product over ranks ends as one of a single rank
// does.
//
// A block is 8 warps, or 4 where a rank has few segments; warp = (segment, group of rows). Each warp has a private ring
// of `Depth` stages of 64 k in shared memory, filled by cp.async with its 16-byte chunks XORed with row % 8 and read by
// ldmatrix. The first stages of weights are under way before the predecessor in the stream has finished, and loading
// runs on across the tiles of a block.
#pragma once
#include "epilogues.cuh"

/// Adds the segments' sums, which lie `stride` bytes apart.
template<int Segments> DEVICE Floats addSegments(u32 p, u32 stride) {
  Floats a = loadShared4(p);
  if (Segments == 1) return a;
  if (Segments == 2) {
    const Floats b = loadShared4(p + stride);
    a.x += b.x; a.y += b.y; a.z += b.z; a.w += b.w;
    return a;
  }
  a = addSegments<(Segments > 1 ? Segments / 2 : 1)>(p, stride);
  const Floats b = addSegments<(Segments > 1 ? Segments / 2 : 1)>(p + stride * (Segments / 2), stride);
  a.x += b.x; a.y += b.y; a.z += b.z; a.w += b.w;
  return a;
}

/// Row of the weights to read: rows beyond the last (a vocabulary that 16 does not divide) repeat it and are not
/// written.
template<int E> DEVICE int readableRow(const LinearArgs& args, int row, bool isHigh) {
  return E == ToFloats ? min(row, args.rows - (isHigh ? 9 : 1)) : row;
}

/// NT token tiles of 8, MT row tiles of 16 a warp, `Segments` K segments in this matrix. Where several groups of rows
/// read a segment's tokens, and these are many, its warps share them in one ring.
template<int NT, int MT, int Depth, int Segments, int E, int Warps = 8> DEVICE void linear(const LinearArgs& args) {
  SHARED_MEMORY(memory);
  constexpr int Groups = Warps / Segments, Tiles = Groups * MT, Items = Tiles * NT;
  constexpr bool Shares = Groups > 1 && NT > 1;
  constexpr int Sharers = Shares ? Groups : 1, WeightBytes = MT * 2048, Loads = (2 * NT + Sharers - 1) / Sharers;
  constexpr int StageBytes = Sharers * WeightBytes + NT * 1024, RingBytes = Warps / Sharers * Depth * StageBytes;
  constexpr int Buffers = MT * NT <= 4 ? 2 : 1;
  constexpr bool HasSquares = E != ToPartial;
  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, segmentIndex = warp % Segments, group = warp / Segments;
  const int k = args.k, segment = args.segment, chunks = (segment + 63) >> 6, blocks = (args.tiles + Tiles - 1) / Tiles;
  const u32 ring = sharedAddress(memory) + (Shares ? segmentIndex : warp) * Depth * StageBytes,
            sums = sharedAddress(memory) + RingBytes, ownWeights = Shares ? group * WeightBytes : 0;
  float* scales = (float*)(memory + RingBytes + Buffers * Warps * MT * NT * 512);
  const int loadRow = lane >> 3, loadChunk = lane & 7;      // an instruction brings 4 rows of 8 chunks
  const long long column = (long long)segmentIndex * segment + loadChunk * 8;
  letDependentsStart();

  const int mine = (int)blockIdx.x < blocks ? (blocks - 1 - (int)blockIdx.x) / (int)gridDim.x + 1 : 0,
            total = mine * chunks;
  auto loadWeights = [&](int block, int c, int stage) {
    const bool isThere = c * 64 + loadChunk * 8 < segment;
#pragma unroll
    for (int m = 0; m < MT; m++) {
      const int row = tileRow<E>(min(block * Tiles + group * MT + m, args.tiles - 1)) + loadRow;
      const u32 to = ring + stage * StageBytes + ownWeights + m * 2048 + loadRow * 128;
#pragma unroll
      for (int i = 0; i < 2; i++) {
        const u32 at = to + i * 512 + ((loadChunk ^ (loadRow + i * 4)) << 4);
        copyWeightsAsync(at, args.low + (long long)readableRow<E>(args, row + i * 4, false) * k + column + c * 64,
                         isThere);
        copyWeightsAsync(at + 1024,
                         args.high + (long long)readableRow<E>(args, row + i * 4, true) * k + column + c * 64, isThere);
      }
    }
  };
  auto loadTokens = [&](int c, int stage) {
    const bool isThere = c * 64 + loadChunk * 8 < segment;
#pragma unroll
    for (int n = 0; n < Loads; n++) {
      const int i = Shares ? n * Sharers + group : n, token = i * 4 + loadRow;
      if (i < 2 * NT && token < args.tokens)
        copyAsync(ring + stage * StageBytes + Sharers * WeightBytes + token * 128 + ((loadChunk ^ (token & 7)) << 4),
                  args.x + (long long)token * k + column + c * 64, isThere);
    }
  };
  for (int i = 0; i < Depth - 1 && i < total; i++)
    loadWeights((int)blockIdx.x + (i / chunks) * gridDim.x, i % chunks, i);
  awaitPredecessor();

  int nextBlock = blockIdx.x, nextChunk = 0, nextStage = 0, issued = 0;
  auto advance = [&]() {
    if (++nextChunk == chunks) { nextChunk = 0; nextBlock += gridDim.x; }
    if (++nextStage == Depth) nextStage = 0;
  };
  for (; issued < Depth - 1; issued++) {
    if (issued < total) { loadTokens(nextChunk, nextStage); advance(); }
    commitCopies();
  }
  // Read here, so that nobody waits for it when the parts are there.
  u32 number = 0, step = 0;
  if (E == ToPartial && args.push.sequence) {
    number = (u32)loadFresh((const int*)args.push.sequence) + args.push.index;
    step = (u32)loadFresh((const int*)args.push.sequence + 1);
  }

  const int matrix = lane >> 3, matrixRow = lane & 7;
  int stage = 0, parity = 0;
  bool isFirst = true;
  for (int block = blockIdx.x; block < blocks; block += gridDim.x, parity ^= 1) {
    float acc[MT][NT][4];
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
      for (int j = 0; j < NT; j++) acc[m][j][0] = acc[m][j][1] = acc[m][j][2] = acc[m][j][3] = 0.f;
    const int itemTile = block * Tiles + warp / NT, itemToken = (warp % NT) * 8 + (lane & 3) * 2;
    Ahead a0, a1;
    Words squares[HasSquares ? NT : 1][2];
    if constexpr (HasSquares) { if (isFirst) fetchSquares<NT>(args, squares, 0, warp, lane); }
    if (warp < Items && (HasSquares || !args.push.sequence)) {
      a0 = readAhead<E>(args, itemTile, lane >> 2, itemToken);
      a1 = readAhead<E>(args, itemTile, lane >> 2, itemToken + 1);
    }

    for (int c = 0; c < chunks; c++) {
      awaitCopies<Depth - 2>();
      // The data is there, and nobody reads the stage that is refilled next.
      if constexpr (Shares) barrierOf(1 + segmentIndex, Sharers * 32);
      else __syncwarp();
      if (issued < total) { loadWeights(nextBlock, nextChunk, nextStage); loadTokens(nextChunk, nextStage); advance(); }
      issued++;
      commitCopies();
      const u32 weights = ring + stage * StageBytes + ownWeights,
                tokens = ring + stage * StageBytes + Sharers * WeightBytes;
#pragma unroll
      for (int half = 0; half < 2; half++) {
        if (half == 0 || c * 64 + 32 < segment) {
          u32 b[NT][4];
#pragma unroll
          for (int j = 0; j < NT; j++)
            loadMatrices(b[j], tokens + (j * 8 + matrixRow) * 128 + (((half * 4 + matrix) ^ matrixRow) << 4));
#pragma unroll
          for (int step = 0; step < 2; step++)
#pragma unroll
            for (int m = 0; m < MT; m++) {
              u32 a[4];
              loadMatrices(a, weights + (m * 16 + (matrix & 1) * 8 + matrixRow) * 128 +
                                  ((((half * 2 + step) * 2 + (matrix >> 1)) ^ matrixRow) << 4));
#pragma unroll
              for (int j = 0; j < NT; j++) multiplyAdd(acc[m][j], a, b[j][2 * step], b[j][2 * step + 1]);
            }
        }
      }
      __syncwarp();
      if (++stage == Depth) stage = 0;
    }

    const u32 buffer = sums + (Buffers == 2 ? parity * (Warps * MT * NT * 512) : 0);
    if (Buffers == 1 && !isFirst) __syncthreads();
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
      for (int j = 0; j < NT; j++)
        storeShared4(buffer + ((segmentIndex * Tiles + group * MT + m) * NT + j) * 512 + lane * 16, acc[m][j]);
    if constexpr (HasSquares) {
      if (isFirst) putScales<NT>(args, squares, scales, 0, warp, lane);
    } else {
      if (isFirst) for (int i = threadIdx.x; i < NT * 8; i += Warps * 32) scales[i] = 1.f;
    }
    isFirst = false;
    __syncthreads();
    if constexpr (E == ToPartial) {
      if (args.push.sequence) {
        // All parts leave before the first wait, and sums that others wait for are made first. Blocks start in the
        // order of their numbers on every GPU, so the lowest that waits, waits for one that runs.
        constexpr int Ranks = 8 / Segments;
        auto partOf = [&](int item) { return addSegments<Segments>(buffer + item * 512 + lane * 16, Items * 512); };
#pragma unroll 1
        for (int item = warp; item < Items; item += Warps)
          pushTile<Ranks>(args, number, block * Tiles + item / NT, item % NT, lane, partOf(item));
#pragma unroll 1
        for (int isOthers = 0; isOthers <= args.push.hasOwners; isOthers++)
#pragma unroll 1
          for (int item = warp; item < Items; item += Warps) {
            const int tile = block * Tiles + item / NT;
            if (args.push.hasOwners && (ownerOf(tile, Ranks) != args.push.rank) != isOthers) continue;
            takeTile<Ranks>(args, number, step, tile, item % NT, lane, partOf(item), scales);
          }
        continue;
      }
    }
    for (int item = warp; item < Items; item += Warps) {
      const int tile = block * Tiles + item / NT;
      if (item != warp) {
        const int token = (item % NT) * 8 + (lane & 3) * 2;
        a0 = readAhead<E>(args, tile, lane >> 2, token);
        a1 = readAhead<E>(args, tile, lane >> 2, token + 1);
      }
      finishTile<E>(args, a0, a1, tile, item % NT, lane,
                    addSegments<Segments>(buffer + item * 512 + lane * 16, Items * 512), scales);
    }
  }
}

/// 17 to 64 tokens (NT tiles of 8). A cluster of two blocks, four segments each; warp = (segment, 32-row half of a
/// 64-row tile), so that the two warps of a segment share its tokens in the ring. Each block finishes 32 rows; the
/// other's half of the tree comes to it by st.async. Tiles that would leave clusters idle in the last round are halved.
/// With 64 tokens the sums have no room of their own: they go to the stage of the ring that was used last, before it is
/// filled again.
template<int NT, int Depth, int E> DEVICE void linearPair(const LinearArgs& args) {
  SHARED_MEMORY(memory);
  constexpr int MT = 2, StageBytes = 2 * MT * 2048 + NT * 1024, Turns = NT / 4;
  constexpr bool SumsInRing = NT > 4;
  constexpr int SumBytes = SumsInRing ? 0 : 16 * NT * 512,
                SegmentStride = SumsInRing ? Depth * StageBytes : 4 * NT * 512;
  static_assert(!SumsInRing || StageBytes >= 4 * NT * 512, "a segment's sums fit a stage");
  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, local = warp >> 1, half = warp & 1;
  const u32 rank = clusterRank(), cluster = clusterIndex(), clusters = clusterCount();
  const int k = args.k, segment = args.segment, chunks = (segment + 63) >> 6;
  const int all = (args.tiles + 3) / 4, rest = all % (int)clusters;
  const int whole = rest * 2 <= (int)clusters ? all - rest : all, blocks = whole + (all - whole) * 2;
  auto firstTile = [&](int block) { return block < whole ? block * 4 : whole * 4 + (block - whole) * 2; };
  const u32 rings = sharedAddress(memory), ring = rings + local * Depth * StageBytes,
            afterRings = rings + 4 * Depth * StageBytes;
  const u32 received = afterRings + SumBytes, arrival = received + 2 * Turns * 4096;
  float* scales = (float*)(memory + 4 * Depth * StageBytes + SumBytes + 2 * Turns * 4096 + Turns * 64);
  const int loadRow = lane >> 3, loadChunk = lane & 7;
  const long long column = (long long)(rank * 4 + local) * segment + loadChunk * 8;
  letDependentsStart();
  if (threadIdx.x < 8 * Turns) {
    barrierInit(arrival + 8 * threadIdx.x);
    barrierExpect(arrival + 8 * threadIdx.x, 512);
  }
  __syncthreads();
  clusterArrive();

  const int mine = (int)cluster < blocks ? (blocks - 1 - (int)cluster) / (int)clusters + 1 : 0, total = mine * chunks;
  auto loadWeights = [&](int block, int c, int stage) {
    const bool isThere = c * 64 + loadChunk * 8 < segment;
#pragma unroll
    for (int m = 0; m < MT; m++) if (m == 0 || block < whole) {
        const int row =
            tileRow<E>(min(block < whole ? block * 4 + half * 2 + m : firstTile(block) + half, args.tiles - 1)) +
            loadRow;
        const u32 to = ring + stage * StageBytes + (half * MT + m) * 2048 + loadRow * 128;
#pragma unroll
        for (int i = 0; i < 2; i++) {
          const u32 at = to + i * 512 + ((loadChunk ^ (loadRow + i * 4)) << 4);
          copyWeightsAsync(at, args.low + (long long)readableRow<E>(args, row + i * 4, false) * k + column + c * 64,
                           isThere);
          copyWeightsAsync(
              at + 1024, args.high + (long long)readableRow<E>(args, row + i * 4, true) * k + column + c * 64, isThere);
      }
    }
  };
  auto loadTokens = [&](int c, int stage) {      // this warp brings half of the tokens
    const bool isThere = c * 64 + loadChunk * 8 < segment;
#pragma unroll
    for (int i = 0; i < NT; i++) {
      const int token = half * NT * 4 + i * 4 + loadRow;
      if (token < args.tokens)
        copyAsync(ring + stage * StageBytes + 8192 + token * 128 + ((loadChunk ^ (token & 7)) << 4),
                  args.x + (long long)token * k + column + c * 64, isThere);
    }
  };
  for (int i = 0; i < Depth - 1 && i < total; i++) loadWeights((int)cluster + (i / chunks) * clusters, i % chunks, i);
  clusterWait();
  awaitPredecessor();

  int nextBlock = cluster, nextChunk = 0, nextStage = 0, issued = 0;
  auto advance = [&]() {
    if (++nextChunk == chunks) { nextChunk = 0; nextBlock += clusters; }
    if (++nextStage == Depth) nextStage = 0;
  };
  for (; issued < Depth - 1; issued++) {
    if (issued < total) { loadTokens(nextChunk, nextStage); advance(); }
    commitCopies();
  }

  const int matrix = lane >> 3, matrixRow = lane & 7;
  int stage = 0, turn = 0;
  for (int block = cluster; block < blocks; block += clusters, turn++) {
    float acc[MT][NT][4];
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
      for (int j = 0; j < NT; j++) acc[m][j][0] = acc[m][j][1] = acc[m][j][2] = acc[m][j][3] = 0.f;
    const bool isWhole = block < whole;
    const int part = isWhole ? warp >> 2 : 0, tile = firstTile(block) + (isWhole ? (int)rank * 2 + part : (int)rank);
    const bool finishes = isWhole || warp < 4;
    Ahead a0, a1;
    Words squares[SumsInRing ? 1 : NT][2];
    auto readAheadOf = [&](int tokenTile) {
      const int token = tokenTile * 8 + (lane & 3) * 2;
      a0 = readAhead<E>(args, tile, lane >> 2, token);
      a1 = readAhead<E>(args, tile, lane >> 2, token + 1);
    };
    if constexpr (!SumsInRing) { if (turn == 0) fetchSquares<NT>(args, squares, 0, warp, lane); }
    if (finishes) readAheadOf(warp & 3);

    for (int c = 0; c < chunks; c++) {
      awaitCopies<Depth - 2>();
      barrierOf(1 + local,
                64);  // both warps of the segment: the data is there, and nobody reads the stage that is refilled next
      if (issued < total) { loadWeights(nextBlock, nextChunk, nextStage); loadTokens(nextChunk, nextStage); advance(); }
      issued++;
      commitCopies();
      const u32 weights = ring + stage * StageBytes + half * 4096, tokens = ring + stage * StageBytes + 8192;
#pragma unroll
      for (int side = 0; side < 2; side++) {
        if (side == 0 || c * 64 + 32 < segment) {
          u32 b[NT][4];
#pragma unroll
          for (int j = 0; j < NT; j++)
            loadMatrices(b[j], tokens + (j * 8 + matrixRow) * 128 + (((side * 4 + matrix) ^ matrixRow) << 4));
#pragma unroll
          for (int step = 0; step < 2; step++)
#pragma unroll
            for (int m = 0; m < MT; m++) if (m == 0 || isWhole) {
              u32 a[4];
              loadMatrices(a, weights + (m * 16 + (matrix & 1) * 8 + matrixRow) * 128 +
                                  ((((side * 2 + step) * 2 + (matrix >> 1)) ^ matrixRow) << 4));
#pragma unroll
              for (int j = 0; j < NT; j++) multiplyAdd(acc[m][j], a, b[j][2 * step], b[j][2 * step + 1]);
            }
        }
      }
      if (++stage == Depth) stage = 0;
    }

    const u32 sums = SumsInRing ? rings + (stage == 0 ? Depth - 1 : stage - 1) * StageBytes : afterRings;
    if (turn || SumsInRing) __syncthreads();
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
      for (int j = 0; j < NT; j++)      // of a segment: [tile 4][token tile NT]
        if (m == 0 || isWhole)
          storeShared4(sums + local * SegmentStride + ((isWhole ? half * 2 + m : half) * NT + j) * 512 + lane * 16,
                       acc[m][j]);
    if (turn == 0) {
      if constexpr (!SumsInRing) putScales<NT>(args, squares, scales, 0, warp, lane);
      else {
#pragma unroll 1
        for (int j = 0; j < NT; j++) {
          fetchSquares<1>(args, squares, j, warp, lane);
          putScales<1>(args, squares, scales, j, warp, lane);
        }
      }
    }
    __syncthreads();
    if (finishes) {                     // all but some in a cluster's last round
      const int tilesOfRank = isWhole ? 2 : 1;
      const u32 peer = rank ^ 1, slot = received + (turn & 1) * Turns * 4096 + warp * 512 + lane * 16;
#pragma unroll
      for (int h = 0; h < Turns; h++) {
        const Floats v = addSegments<4>(
            sums + ((peer * tilesOfRank + part) * NT + (warp & 3) + 4 * h) * 512 + lane * 16, SegmentStride);
        storeRemote4(addressIn(slot + h * 4096, peer), v, addressIn(arrival + 8 * (warp + 8 * h), peer));
      }
#pragma unroll 1
      for (int h = 0; h < Turns; h++) {
        const int tokenTile = (warp & 3) + 4 * h;
        if (h) readAheadOf(tokenTile);
        Floats v =
            addSegments<4>(sums + ((rank * tilesOfRank + part) * NT + tokenTile) * 512 + lane * 16, SegmentStride);
        barrierWait(arrival + 8 * (warp + 8 * h), turn & 1);
        const Floats other = loadShared4(slot + h * 4096);
        v.x += other.x; v.y += other.y; v.z += other.z; v.w += other.w;
        __syncwarp();
        if (lane == 0 && block + clusters < blocks) barrierExpect(arrival + 8 * (warp + 8 * h), 512);
        __syncwarp();
        finishTile<E>(args, a0, a1, tile, tokenTile, lane, v, scales);
      }
    }
    if (SumsInRing && block + clusters < blocks) __syncthreads();  // the sums are read: the stage may be filled again
  }
  clusterArrive();
  clusterWait();
}
