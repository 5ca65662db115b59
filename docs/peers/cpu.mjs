// Decodes and prefills made models with llama.cpp's library, out of the package node-llama-cpp, and with this engine,
// in turns on the same machine, and prints both with their ratio:
//
//     npm install node-llama-cpp@3.22.1        # in any folder
//     node cpu.mjs --package FOLDER --node PATH/SpotServe.Node [--shapes 160m,1b] [--types f32,bf16] [--batches 1,8]
//                  [--threads 1] [--rounds 3] [--models FOLDER]
//
// Model files are made where --models says (438 MB to 4.4 GB each) and kept there. The weights differ from those of
// `SpotServe.Node bench`; only sizes matter for speed.
import {execFileSync} from "node:child_process";
import {closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, writeSync} from "node:fs";
import {createRequire} from "node:module";
import {tmpdir} from "node:os";
import {join, resolve} from "node:path";
import {pathToFileURL} from "node:url";
import {parseArgs} from "node:util";

const {values: options} = parseArgs({options: {
  package: {type: "string", default: "."}, node: {type: "string"}, shapes: {type: "string", default: "160m,1b"},
  types: {type: "string", default: "f32,bf16"}, batches: {type: "string", default: "1,8"},
  threads: {type: "string", default: "1"}, rounds: {type: "string", default: "3"},
  models: {type: "string", default: join(tmpdir(), "peer-models")},
}});

const shapes = {
  "160m": {hidden: 768, layers: 12, heads: 12, kvHeads: 12, ffn: 2048, vocabulary: 32000},
  "1b": {hidden: 2048, layers: 22, heads: 32, kvHeads: 4, ffn: 5632, vocabulary: 32000},
};
const contextTokens = 64, decodeSteps = 32, prefillTokens = 512;

/** Writes a GGUF file of a LLaMA shape with weights of a repeating pattern. */
function makeModel(name, type) {
  const path = join(options.models, `${name}-${type}.gguf`);
  if (existsSync(path)) return path;
  mkdirSync(options.models, {recursive: true});
  const s = shapes[name], kv = s.hidden / s.heads * s.kvHeads;
  const u32 = value => { const b = Buffer.alloc(4); b.writeUInt32LE(value); return b; };
  const u64 = value => { const b = Buffer.alloc(8); b.writeBigUInt64LE(BigInt(value)); return b; };
  const f32 = value => { const b = Buffer.alloc(4); b.writeFloatLE(value); return b; };
  const text = value => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);
  const entry = (key, kind, value) => Buffer.concat([text(key), u32(kind), value]);
  const list = (key, kind, items) => entry(key, 9, Buffer.concat([u32(kind), u64(items.length), ...items]));
  const pieces = ["<unk>", "<s>", "</s>"];
  for (let i = 0; i < 256; i++) pieces.push(`<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`);
  while (pieces.length < s.vocabulary) pieces.push(`\u2581w${pieces.length}`);
  const meta = [
    entry("general.architecture", 8, text("llama")), entry("general.name", 8, text(name)),
    entry("general.alignment", 4, u32(32)), entry("general.file_type", 4, u32(type === "f32" ? 0 : 32)),
    entry("llama.vocab_size", 4, u32(s.vocabulary)), entry("llama.context_length", 4, u32(2048)),
    entry("llama.embedding_length", 4, u32(s.hidden)), entry("llama.block_count", 4, u32(s.layers)),
    entry("llama.feed_forward_length", 4, u32(s.ffn)), entry("llama.attention.head_count", 4, u32(s.heads)),
    entry("llama.attention.head_count_kv", 4, u32(s.kvHeads)),
    entry("llama.rope.dimension_count", 4, u32(s.hidden / s.heads)), entry("llama.rope.freq_base", 6, f32(10000)),
    entry("llama.attention.layer_norm_rms_epsilon", 6, f32(1e-5)),
    entry("tokenizer.ggml.model", 8, text("llama")), entry("tokenizer.ggml.pre", 8, text("default")),
    list("tokenizer.ggml.tokens", 8, pieces.map(text)),
    list("tokenizer.ggml.scores", 6, pieces.map((_, i) => f32(i < 259 ? 0 : 259 - i))),
    list("tokenizer.ggml.token_type", 5, pieces.map((_, i) => u32(i === 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1))),
    entry("tokenizer.ggml.bos_token_id", 4, u32(1)), entry("tokenizer.ggml.eos_token_id", 4, u32(2)),
    entry("tokenizer.ggml.unknown_token_id", 4, u32(0)),
  ];
  const tensors = [["token_embd.weight", s.vocabulary, s.hidden]];
  for (let i = 0; i < s.layers; i++) {
    for (const [part, rows, columns] of [
      ["attn_norm", s.hidden], ["attn_q", s.hidden, s.hidden], ["attn_k", kv, s.hidden], ["attn_v", kv, s.hidden],
      ["attn_output", s.hidden, s.hidden], ["ffn_norm", s.hidden], ["ffn_gate", s.ffn, s.hidden],
      ["ffn_up", s.ffn, s.hidden], ["ffn_down", s.hidden, s.ffn]]) {
      tensors.push([`blk.${i}.${part}.weight`, rows, columns]);
    }
  }
  tensors.push(["output_norm.weight", s.hidden], ["output.weight", s.vocabulary, s.hidden]);
  const sizeOf = ([, rows, columns]) => columns === undefined ? rows * 4 : rows * columns * (type === "f32" ? 4 : 2);
  let at = 0;
  const infos = tensors.map(tensor => {
    const [title, rows, columns] = tensor;
    const dimensions = columns === undefined ? [u32(1), u64(rows)] : [u32(2), u64(columns), u64(rows)];
    const code = columns === undefined || type === "f32" ? 0 : 30;
    const info = Buffer.concat([text(title), ...dimensions, u32(code), u64(at)]);
    at = Math.ceil((at + sizeOf(tensor)) / 32) * 32;
    return info;
  });
  const file = openSync(`${path}.part`, "w");
  let written = 0;
  const write = data => {
    for (let done = 0; done < data.length;) done += writeSync(file, data, done);
    written += data.length;
  };
  write(Buffer.concat([Buffer.from("GGUF"), u32(3), u64(tensors.length), u64(meta.length), ...meta, ...infos]));
  for (const tensor of tensors) {
    write(Buffer.alloc((32 - written % 32) % 32));
    const [, , columns] = tensor, pattern = Buffer.alloc(65521 * 4);
    for (let i = 0; i < 65521; i++) {
      const value = columns === undefined ? 1 : (Math.random() * 2 - 1) * Math.sqrt(3 / columns);
      if (columns === undefined || type === "f32") pattern.writeFloatLE(value, i * 4);
      else for (const half of [0, 2]) pattern.writeUInt16LE(f32(value).readUInt32LE() >>> 16, i * 4 + half);
    }
    for (let left = sizeOf(tensor); left > 0;) {
      const piece = pattern.subarray(0, Math.min(left, pattern.length));
      write(piece);
      left -= piece.length;
    }
  }
  closeSync(file);
  renameSync(`${path}.part`, path);
  return path;
}

const median = numbers => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
const token = (sequence, i) => 3 + (7919 * i + 104729 * (sequence + 1)) % 31000;

/** llama.cpp: tokens a second of all sequences together, and of a prompt. */
async function peer(llama, path, batch, threads) {
  const model = await llama.loadModel({modelPath: path, gpuLayers: 0, useMmap: true});
  const context = await model.createContext({
    sequences: batch, contextSize: 1024, batchSize: Math.max(prefillTokens, contextTokens * batch),
    threads: {ideal: threads, min: threads}});
  const low = context._ctx;
  const run = async (pieces, count) => {
    low.setThreads(threads);
    low.initBatch(count);
    for (const [sequence, start, tokens] of pieces)
      low.addToBatch(sequence, start, Uint32Array.from(tokens), Uint32Array.from([tokens.length - 1]));
    await low.decodeBatch();
  };
  const all = Array.from({length: batch}, (_, sequence) => sequence);
  const range = (sequence, start, count) => Array.from({length: count}, (_, i) => token(sequence, start + i));
  const prefill = async () => {
    low.disposeSequence(0);
    const begin = performance.now();
    await run([[0, 0, range(0, 0, prefillTokens)]], prefillTokens);
    return prefillTokens / (performance.now() - begin) * 1e3;
  };
  await prefill();
  const prompt = await prefill();
  for (const sequence of all) {
    low.disposeSequence(sequence);
    await run([[sequence, 0, range(sequence, 0, contextTokens)]], contextTokens);
  }
  let begin = 0, used = null;
  for (let step = -3; step < decodeSteps; step++) {
    if (step === 0) [begin, used] = [performance.now(), process.cpuUsage()];
    const position = contextTokens + 3 + step;
    await run(all.map(sequence => [sequence, position, range(sequence, position, 1)]), batch);
  }
  const decode = batch * decodeSteps / (performance.now() - begin) * 1e3;
  const {user, system} = process.cpuUsage(used);
  await context.dispose();
  await model.dispose();
  return {decode, prefill: prompt, processor: (user + system) / 1e3 / decodeSteps};
}

/** This engine: the same, and how fast it read memory. */
function own(shape, type, batch, threads) {
  const out = execFileSync(resolve(options.node), [
    "bench", "--shape", shape, "--dtype", type === "f32" ? "float32" : "bfloat16", "--batch", batch,
    "--threads", threads, "--context", contextTokens, "--steps", decodeSteps, "--rounds", 1,
    "--prefill", prefillTokens].map(String),
    {stdio: ["ignore", "pipe", "ignore"]}).toString();
  const figure = label => Number(out.match(new RegExp(`^${label} +([0-9.]+)`, "m"))[1]);
  return {
    decode: figure("decode, all sequences"), processor: figure("decode, processor time"),
    prefill: figure(`prefill of ${prefillTokens}`), memory: figure("memory, same moment"),
    share: figure("floor as a share")};
}

const load = () => readFileSync("/proc/loadavg", "utf8").split(" ")[0];
const found = createRequire(resolve(options.package, "package.json")).resolve("node-llama-cpp");
const {getLlama, LlamaLogLevel} = await import(pathToFileURL(found).href);
const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error, maxThreads: 2});
console.log("shape type threads batch | decode tokens/s: llama.cpp, own, ratio | "
  + "its processor time, ms/step: llama.cpp, own, ratio of speeds | prefill: as decode | share of memory's rate | "
  + "load");
for (const shape of options.shapes.split(",")) {
  for (const type of options.types.split(",")) {
    const path = makeModel(shape, type);
    for (const threads of options.threads.split(",").map(Number)) {
      for (const batch of options.batches.split(",").map(Number)) {
        const rounds = [];
        for (let round = 0; round < Number(options.rounds); round++)
          rounds.push({theirs: await peer(llama, path, batch, threads), ours: own(shape, type, batch, threads)});
        const of = pick => median(rounds.map(pick));
        const ratio = what => of(r => r.ours[what] / r.theirs[what]).toFixed(2);
        const both = what =>
          `${of(r => r.theirs[what]).toFixed(1)}, ${of(r => r.ours[what]).toFixed(1)}, ${ratio(what)}`;
        console.log(`${shape} ${type} ${threads} ${batch} | ${both("decode")} | `
          + `${of(r => r.theirs.processor).toFixed(2)}, ${of(r => r.ours.processor).toFixed(2)}, `
          + `${of(r => r.theirs.processor / r.ours.processor).toFixed(2)} | ${both("prefill")} | `
          + `${of(r => r.ours.share).toFixed(0)} % of ${of(r => r.ours.memory).toFixed(1)} GB/s | ${load()}`);
      }
    }
  }
}
await llama.dispose();
