// Attention of a prompt's chunk over keys and values in pages, its own included: they lie there already. A block takes
// 128 rows of one query head, a warp 16 of them.
//
// A row meets the keys in blocks of 64 positions, cut at absolute multiples, in ascending order, and what it must not
// see changes none of its numbers. So its bits depend neither on where the prompt was cut into chunks, nor on other
// rows, nor on how many heads a rank has.
#pragma once
#include "primitives.cuh"

#define CHUNK_ROWS 128
#define KEYS 64
#define HEAD_PADDED ((HEAD_SIZE + 15) / 16 * 16)
#define HEAD_PITCH (HEAD_PADDED * 2 + 16)       // bytes; no two rows of a matrix of 8 begin in the same banks

struct PromptArgs {
  const u16* rows;         // [rows of the chunk][rowStride]: query heads first, turned
  const u16* pages;        // [page][2][kvHeads][16][HEAD_SIZE]
  const long long* table;  // pages of the sequence
  u16* out;                // [rows of the chunk][queryHeads][HEAD_SIZE]
  float scale;
  int rowStride, outStride, count, start, window, kvHeads, group;
};

DEVICE u32 pack(float low, float high) { return (u32)narrow(low) | (u32)narrow(high) << 16; }

DEVICE void attendPrompt(const PromptArgs& args) {
  SHARED_MEMORY(memory);
  constexpr int Chunks = HEAD_PADDED / 8, Steps = HEAD_PADDED / 16, TileBytes = KEYS * HEAD_PITCH;
  const u32 queries = sharedAddress(memory), ring = queries + CHUNK_ROWS * HEAD_PITCH;
  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, g = lane >> 2, c = (lane & 3) * 2;
  // The last rows have the most to do: they begin first.
  const int firstRow = ((int)gridDim.x - 1 - (int)blockIdx.x) * CHUNK_ROWS, head = blockIdx.y,
            kvHead = head / args.group, end = args.start + args.count;
  const int firstPosition = args.start + firstRow, lastPosition = min(firstPosition + CHUNK_ROWS, end) - 1;
  const int firstTile = args.window > 0 ? max(0, firstPosition + 1 - args.window) / KEYS : 0,
            lastTile = lastPosition / KEYS;

  for (int i = threadIdx.x; i < CHUNK_ROWS * Chunks; i += 256) {
    const int row = i / Chunks, chunk = i % Chunks;
    const bool isThere = firstRow + row < args.count && chunk * 8 < HEAD_SIZE;
    copyAsync(queries + row * HEAD_PITCH + chunk * 16,
              args.rows + (long long)(isThere ? firstRow + row : 0) * args.rowStride + head * HEAD_SIZE +
                  (isThere ? chunk * 8 : 0),
              isThere);
  }
  auto load = [&](int tile, int stage) {
    const u32 to = ring + stage * 2 * TileBytes;
    for (int i = threadIdx.x; i < KEYS * Chunks; i += 256) {
      const int key = i / Chunks, chunk = i % Chunks, position = tile * KEYS + key;
      const bool isThere = position < end && chunk * 8 < HEAD_SIZE;
      const long long page = isThere ? args.table[position >> 4] : 0;
      const u16* from = args.pages + ((page * 2 * args.kvHeads + kvHead) * 16 + (isThere ? position & 15 : 0)) *
                                         HEAD_SIZE + (isThere ? chunk * 8 : 0);
      copyAsync(to + key * HEAD_PITCH + chunk * 16, from, isThere);
      copyAsync(to + TileBytes + key * HEAD_PITCH + chunk * 16, from + (long long)args.kvHeads * 16 * HEAD_SIZE,
                isThere);
    }
    commitCopies();
  };
  load(firstTile, 0);

  float out[HEAD_PADDED / 8][4], largest[2] = {-1e30f, -1e30f}, total[2] = {0.f, 0.f};
#pragma unroll
  for (int n = 0; n < HEAD_PADDED / 8; n++) out[n][0] = out[n][1] = out[n][2] = out[n][3] = 0.f;
  const float factor = args.scale * LOG2E;
  const int position = firstPosition + warp * 16 + g;      // of the lane's first row; the second is 8 further
  for (int tile = firstTile; tile <= lastTile; tile++) {
    const int stage = (tile - firstTile) & 1;
    if (tile < lastTile) { load(tile + 1, stage ^ 1); awaitCopies<1>(); } else awaitCopies<0>();
    __syncthreads();
    const u32 keys = ring + stage * 2 * TileBytes, values = keys + TileBytes;

    float s[KEYS / 8][4];
#pragma unroll
    for (int n = 0; n < KEYS / 8; n++) s[n][0] = s[n][1] = s[n][2] = s[n][3] = 0.f;
#pragma unroll
    for (int step = 0; step < Steps; step++) {
      u32 a[4];
      loadMatrices(a, queries + (warp * 16 + (lane & 15)) * HEAD_PITCH + (step * 2 + (lane >> 4)) * 16);
#pragma unroll
      for (int n = 0; n < KEYS / 8; n += 2) {
        u32 b[4];
        loadMatrices(b, keys + (n * 8 + (lane & 7) + (lane >> 4) * 8) * HEAD_PITCH +
                            (step * 2 + (lane >> 3 & 1)) * 16);
        multiplyAdd(s[n], a, b[0], b[1]);
        multiplyAdd(s[n + 1], a, b[2], b[3]);
      }
    }

    const bool isSeenByAll = tile * KEYS + KEYS - 1 <= firstPosition + warp * 16 &&
                             (args.window == 0 || tile * KEYS > firstPosition + warp * 16 + 15 - args.window);
#pragma unroll
    for (int h = 0; h < 2; h++) {
      const int at = position + h * 8;
      float most = largest[h];
#pragma unroll
      for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
          float& x = s[n][h * 2 + e];
          x *= factor;
          const int key = tile * KEYS + n * 8 + c + e;
          if (!isSeenByAll && (key > at || (args.window > 0 && key <= at - args.window))) x = -1e30f;
          most = fmaxf(most, x);
        }
      most = fmaxf(most, __shfl_xor_sync(FULL_MASK, most, 1));
      most = fmaxf(most, __shfl_xor_sync(FULL_MASK, most, 2));
      const float fade = exp2Fast(largest[h] - most);
      largest[h] = most;
      float sum = 0.f;
#pragma unroll
      for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
          float& x = s[n][h * 2 + e];
          x = x <= -1e30f ? 0.f : exp2Fast(x - most);
          sum += x;
        }
      total[h] = __fmaf_rn(total[h], fade, laneSum<1, 4>(sum));
#pragma unroll
      for (int n = 0; n < HEAD_PADDED / 8; n++) { out[n][h * 2] *= fade; out[n][h * 2 + 1] *= fade; }
    }

#pragma unroll
    for (int k = 0; k < KEYS / 16; k++) {
      const u32 a[4] = {pack(s[2 * k][0], s[2 * k][1]), pack(s[2 * k][2], s[2 * k][3]),
                        pack(s[2 * k + 1][0], s[2 * k + 1][1]), pack(s[2 * k + 1][2], s[2 * k + 1][3])};
#pragma unroll
      for (int n = 0; n < HEAD_PADDED / 8; n += 2) {
        u32 b[4];
        loadMatricesTransposed(b, values + (k * 16 + (lane & 15)) * HEAD_PITCH + (n + (lane >> 4)) * 16);
        multiplyAdd(out[n], a, b[0], b[1]);
        multiplyAdd(out[n + 1], a, b[2], b[3]);
      }
    }
    __syncthreads();      // all have read what is loaded over next
  }

#pragma unroll
  for (int h = 0; h < 2; h++) {
    const int row = firstRow + warp * 16 + g + h * 8;
    if (row >= args.count) continue;
    const float share = inverse(total[h]);
    u16* to = args.out + (long long)row * args.outStride + head * HEAD_SIZE;
#pragma unroll
    for (int n = 0; n < HEAD_PADDED / 8; n++)
      if (n * 8 < HEAD_SIZE) *(u32*)(to + n * 8 + c) = pack(out[n][h * 2] * share, out[n][h * 2 + 1] * share);
  }
}
