// What a linear layer does with its sums. A tile has 16 rows of the weights; a lane holds rows g = lane / 4 of its
// lower and of its upper half, for two tokens. The halves may be distant rows, so that what belongs together meets in
// one thread: i and i + HEAD_SIZE / 2 for rotary positions, gate and up for SwiGLU.
#pragma once
#include "peers.cuh"

enum Epilogue {
  ToFloats,  // out[token][row] = sum (+ bias): logits, and queries, keys, values that are normed before they are turned
  ToPartial,    // out[token][row] = this rank's part of a sum over ranks; or the sum, and all that ToResidual does
  ToAttention,  // queries to their buffer, keys and values to their pages, turned by position
  ToResidual,   // residual += sum; and what the next layer wants of it: gained values and sums of squares
  ToGated,      // out[token][i] = silu(gate) * up
};

struct LinearArgs {
  const u16* low;          // weights [rows][k]: rows of a tile's lower half
  const u16* high;         // and of its upper half
  const u16* x;            // activations [tokens][k]
  const float*
      squaresIn;  // [tokens][squares]: sums of squares that x is to be divided by; null where x is normed already
  const u16* bias;         // [rows], or null
  void* out;
  float* residual;         // [tokens][width]
  u16* gained;             // [tokens][width]: residual * gain
  const float* gain;       // [width]
  float* squaresOut;       // [tokens][squares]: sums over 16 neighbours
  u16* queries;            // [tokens][queryHeads][HEAD_SIZE]
  u16* pages;              // [page][2][kvHeads][16][HEAD_SIZE]
  const int* table;  // [tokens][tableStride]: pages of the token's sequence, from the first that its attention sees
  const int* positions;    // [tokens]; -1 for a column that is not in use
  const int* tableFirst;   // [tokens]: index in the sequence of the table's first page
  const float* cosines;    // [position][HEAD_SIZE / 2]
  const float* sines;
  float epsilon, inverseWidth;
  int k, segment, tokens, tiles, rows, outStride, squares, tableStride, queryHeads, kvHeads;
  PushArgs push;           // of ToPartial: where it goes instead of `out`, so that the ranks sum by themselves
  const u8* from;          // what they pushed here
  long long stride;        // between two ranks' parts
  PatienceArgs patience;
};

/// First of a tile's rows in the lower half's matrix.
template<int E> DEVICE int tileRow(int tile) {
  if (E == ToAttention) return tile / (HEAD_SIZE / 16) * HEAD_SIZE + tile % (HEAD_SIZE / 16) * 8;
  return E == ToGated ? tile * 8 : tile * 16;
}

/// What an epilogue reads that does not depend on the sums, fetched while they are made.
struct Ahead { float a, b, c, d; u16* place; };

template<int E> DEVICE Ahead readAhead(const LinearArgs& args, int tile, int g, int token) {
  Ahead r;
  r.a = r.b = r.c = r.d = 0.f;
  r.place = nullptr;
  if (token >= args.tokens || tile >= args.tiles) return r;
  if (E == ToResidual) {
    const int row = tile * 16 + g;
    const float* h = args.residual + (long long)token * args.outStride + row;
    r.a = loadFresh(h); r.b = loadFresh(h + 8);
    r.c = args.gain[row]; r.d = args.gain[row + 8];
  } else if (E == ToAttention) {
    const int position = loadFresh(args.positions + token), head = tile / (HEAD_SIZE / 16),
              i = tile % (HEAD_SIZE / 16) * 8 + g;
    if (args.bias) {
      r.c = widen(args.bias[head * HEAD_SIZE + i]);
      r.d = widen(args.bias[head * HEAD_SIZE + HEAD_SIZE / 2 + i]);
    }
    if (position < 0) return r;
    if (head < args.queryHeads + args.kvHeads) {
      r.a = args.cosines[(long long)position * (HEAD_SIZE / 2) + i];
      r.b = args.sines[(long long)position * (HEAD_SIZE / 2) + i];
    }
    if (head < args.queryHeads) r.place = args.queries + ((long long)token * args.queryHeads + head) * HEAD_SIZE + i;
    else {
      int kv = head - args.queryHeads, isValue = kv >= args.kvHeads ? 1 : 0;
      if (isValue) kv -= args.kvHeads;
      const long long page =
          loadFresh(args.table + token * args.tableStride + (position >> 4) - loadFresh(args.tableFirst + token));
      r.place = args.pages + (((page * 2 + isValue) * args.kvHeads + kv) * 16 + (position & 15)) * HEAD_SIZE + i;
    }
  }
  return r;
}

/// Finishes two rows of one token. Returns the sum of their squares where the next layer wants it.
template <int E>
DEVICE float finish(const LinearArgs& args, const Ahead& ahead, int tile, int g, int token, float v0, float v1,
                    float scale) {
  if (token >= args.tokens || tile >= args.tiles) return 0.f;
  v0 *= scale; v1 *= scale;
  if (E == ToFloats || E == ToPartial) {
    const int row = tile * 16 + g;
    float* out = (float*)args.out + (long long)token * args.outStride + row;
    if (row < args.rows) out[0] = args.bias ? v0 + widen(args.bias[row]) : v0;
    if (row + 8 < args.rows) out[8] = args.bias ? v1 + widen(args.bias[row + 8]) : v1;
    return 0.f;
  }
  if (E == ToGated) {
    const float s = v0 * inverse(1.0f + exp2Fast(-v0 * LOG2E));
    ((u16*)args.out)[(long long)token * args.outStride + tile * 8 + g] = narrow(s * v1);
    return 0.f;
  }
  if (E == ToAttention) {
    if (!ahead.place) return 0.f;
    v0 += ahead.c; v1 += ahead.d;
    if (tile / (HEAD_SIZE / 16) < args.queryHeads + args.kvHeads) {
      const float t0 = v0 * ahead.a - v1 * ahead.b, t1 = v1 * ahead.a + v0 * ahead.b;
      v0 = t0; v1 = t1;
    }
    ahead.place[0] = narrow(v0); ahead.place[HEAD_SIZE / 2] = narrow(v1);
    return 0.f;
  }
  const long long at = (long long)token * args.outStride + tile * 16 + g;
  const float h0 = ahead.a + v0, h1 = ahead.b + v1;
  args.residual[at] = h0; args.residual[at + 8] = h1;
  args.gained[at] = narrow(h0 * ahead.c); args.gained[at + 8] = narrow(h1 * ahead.d);
  return h0 * h0 + h1 * h1;
}

/// Finishes a lane's four sums: two rows of two tokens. `scales` holds a factor for each token.
template <int E>
DEVICE void finishTile(const LinearArgs& args, const Ahead& a0, const Ahead& a1, int tile, int tokenTile, int lane,
                       const Floats& v, const float* scales) {
  const int g = lane >> 2, token = tokenTile * 8 + (lane & 3) * 2;
  float s0 = finish<E>(args, a0, tile, g, token, v.x, v.z, scales[token]);
  float s1 = finish<E>(args, a1, tile, g, token + 1, v.y, v.w, scales[token + 1]);
  if (E == ToResidual) {
    s0 = laneSum<4, 32>(s0);
    s1 = laneSum<4, 32>(s1);
    if (g == 0 && tile < args.tiles) {
      if (token < args.tokens) args.squaresOut[token * args.squares + tile] = s0;
      if (token + 1 < args.tokens) args.squaresOut[(token + 1) * args.squares + tile] = s1;
    }
  }
}

// ---- ranks that sum by themselves: a lane pushes its part of a tile to all ranks and takes what they push it. Where
// tiles have owners, it pushes it to the tile's, which adds the parts and pushes the sum to the others ----
DEVICE int ownerOf(int tile, int ranks) { return tile & (ranks - 1); }

template<int ranks>
DEVICE void pushTile(const LinearArgs& args, u32 number, int tile, int tokenTile, int lane, const Floats& v) {
  const int g = lane >> 2, token = tokenTile * 8 + (lane & 3) * 2;
  if (tile >= args.tiles) return;
  const u32 to = args.push.hasOwners ? 1u << ownerOf(tile, ranks) & ~(1u << args.push.rank) : allRanks(ranks);
  if (token < args.tokens) pushPair(args.push, number, pairPlace(tile, token, args.tokens, g), v.x, v.z, to);
  if (token + 1 < args.tokens)
    pushPair(args.push, number, pairPlace(tile, token + 1, args.tokens, g), v.y, v.w, to);
}
/// The sum of a tile goes where a product of one rank would go. `v`: this rank's part.
template<int ranks>
DEVICE void takeTile(const LinearArgs& args, u32 number, u32 step, int tile, int tokenTile, int lane, Floats v,
                     const float* scales) {
  const int g = lane >> 2, token = tokenTile * 8 + (lane & 3) * 2;
  const Ahead a0 = readAhead<ToResidual>(args, tile, g, token), a1 = readAhead<ToResidual>(args, tile, g, token + 1);
  if (tile < args.tiles && token < args.tokens) {
    const long long place0 = pairPlace(tile, token, args.tokens, g),
                    place1 = token + 1 < args.tokens ? pairPlace(tile, token + 1, args.tokens, g) : -1;
    const int owner = ownerOf(tile, ranks);
    if (!args.push.hasOwners) {
      receivePairs<ranks>(args.from, args.stride, args.patience, number, step, place0, place1, -1, v);
    } else if (owner != args.push.rank) {
      // The owner has no part to push, so its sum comes to that place.
      receivePairs<1>(args.from + owner * args.stride, 0, args.patience, number, step, place0, place1, -1, v);
    } else if (receivePairs<ranks>(args.from, args.stride, args.patience, number, step, place0, place1, owner, v)) {
      // A sum that was given up is not pushed, so that the others, too, learn that there is none.
      const u32 others = allRanks(ranks) & ~(1u << owner);
      pushPair(args.push, number, place0, v.x, v.z, others);
      if (place1 >= 0) pushPair(args.push, number, place1, v.y, v.w, others);
    }
  }
  finishTile<ToResidual>(args, a0, a1, tile, tokenTile, lane, v, scales);
}

// ---- 1 / root mean square of the rows: sums of 8 partial sums a lane, 256 a warp, then a tree over the lanes ----
#define SQUARES_A_TURN 256

/// The first 256 partial sums of each of a warp's tokens, from token tile `first` on: fetched before the products
/// begin.
template<int NT> DEVICE void fetchSquares(const LinearArgs& args, Words (&p)[NT][2], int first, int warp, int lane) {
#pragma unroll
  for (int j = 0; j < NT; j++) {
    const int token = warp + 8 * (first + j);
#pragma unroll
    for (int i = 0; i < 2; i++) {
      p[j][i].x = p[j][i].y = p[j][i].z = p[j][i].w = 0;
      if (args.squaresIn && token < args.tokens && lane * 8 + i * 4 < args.squares)
        p[j][i] = loadFresh((const void*)(args.squaresIn + (long long)token * args.squares + lane * 8 + i * 4));
    }
  }
}
DEVICE float addFour(float s, const Words& p) {
  s += __uint_as_float(p.x); s += __uint_as_float(p.y); s += __uint_as_float(p.z); s += __uint_as_float(p.w);
  return s;
}
template <int NT>
DEVICE void putScales(const LinearArgs& args, const Words (&p)[NT][2], float* scales, int first, int warp, int lane) {
#pragma unroll
  for (int j = 0; j < NT; j++) {
    const int token = warp + 8 * (first + j);
    float s = addFour(addFour(0.f, p[j][0]), p[j][1]);
    if (args.squaresIn && token < args.tokens) {
      for (int at = SQUARES_A_TURN + lane * 8; at < args.squares; at += SQUARES_A_TURN) {
        const float* more = args.squaresIn + (long long)token * args.squares + at;
        s = addFour(s, loadFresh((const void*)more));
        if (at + 4 < args.squares) s = addFour(s, loadFresh((const void*)(more + 4)));
      }
    }
    s = laneSum<1, 32>(s);
    if (lane == 0) scales[token] = args.squaresIn ? inverseRoot(s * args.inverseWidth + args.epsilon) : 1.f;
  }
}
