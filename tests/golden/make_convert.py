#!/usr/bin/env python3
"""Tiny Hugging Face folders of the text families, and what llama.cpp's converter makes of them.

    make_convert.py LLAMA_CPP OUT

LLAMA_CPP: a checkout with convert_hf_to_gguf.py and gguf-py. Needs torch, transformers, tokenizers, sentencepiece, safetensors, mistral-common.
Writes OUT/NAME/{config.json, model*.safetensors, tokenizer*} and OUT/NAME/expected.txt: a line for each key (its type, its value
or, of a list, its length and the SHA-256 of its packed bytes) and each tensor (type, shape, SHA-256). Weights are random.
Of folders without tokenizer.json also OUT/NAME/ids.json: texts, and the ids that transformers, or of tekken.json mistral-common, gives them.

llama.cpp knows a pre-tokenizer by a hash of the ids of a sample text, which a tiny vocabulary does not have: the name is given to it.
"""
import base64
import hashlib
import io
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXT = ("The quick brown fox jumps over the lazy dog. 12345 apples, isn't it? We'll see the things that they're doing in the "
        "garden of the house where the children were playing all day long.\n") * 3
ENGLISH = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
END = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
UP, LOW = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
TEKKEN = (rf"[^\r\n\p{{L}}\p{{N}}]?{UP}*{LOW}+|[^\r\n\p{{L}}\p{{N}}]?{UP}+{LOW}*|\p{{N}}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
PRE = {
    "llama-bpe": [("split", ENGLISH + r"|\p{N}{1,3}" + END)], "qwen2": [("split", ENGLISH + r"|\p{N}" + END)],
    "tekken": [("split", TEKKEN)], "smollm": [("digits",)], "refact": [("digits",)],
}


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, ensure_ascii=False)


def byte_level(folder, pre, specials, bos=None, plain=()):
    """tokenizer.json and tokenizer_config.json of a byte-level BPE; returns the number of words."""
    t = Tokenizer(models.BPE(ignore_merges=pre in ("llama-bpe", "tekken")))
    steps = [pre_tokenizers.Split(Regex(s[1]), "isolated") if s[0] == "split" else pre_tokenizers.Digits(individual_digits=True)
             for s in PRE[pre]]
    t.pre_tokenizer = pre_tokenizers.Sequence(steps + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=steps and PRE[pre][0][0] != "split")])
    t.decoder = decoders.ByteLevel()
    t.train_from_iterator([TEXT], trainers.BpeTrainer(vocab_size=310, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    t.add_special_tokens(specials)
    t.add_tokens(list(plain))
    if bos:
        t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, t.token_to_id(bos))])])
    t.save(os.path.join(folder, "tokenizer.json"))
    return t.get_vocab_size()


def sentencepiece_model(folder, n):
    import sentencepiece
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT.splitlines()), model_writer=out, vocab_size=n, model_type="bpe", byte_fallback=True,
        normalization_rule_name="identity", character_coverage=1.0, minloglevel=2, bos_id=1, eos_id=2, unk_id=0)
    with open(os.path.join(folder, "tokenizer.model"), "wb") as f:
        f.write(out.getvalue())


def bf16(a):
    u = a.astype(np.float32).view(np.uint32)
    return ((u + 0x7FFF + ((u >> 16) & 1)) >> 16).astype(np.uint16)


def save(path, tensors, dtype):
    """safetensors by hand: numpy has no bfloat16."""
    header, data, at = {}, b"", 0
    for name, a in tensors.items():
        raw = {"F32": lambda: a.astype("<f4"), "F16": lambda: a.astype("<f2"), "BF16": lambda: bf16(a)}[dtype]().tobytes()
        header[name] = {"dtype": dtype, "shape": list(a.shape), "data_offsets": [at, at + len(raw)]}
        data += raw
        at += len(raw)
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def weights(c, rng, bias=False, head_norms=False, gemma=False, tied=True, prefix="model.", head=""):
    d, ff, v = c["hidden_size"], c["intermediate_size"], c["vocab_size"]
    dh = c.get("head_dim") or d // c["num_attention_heads"]
    q, kv = dh * c["num_attention_heads"], dh * c["num_key_value_heads"]
    t = {}

    def add(name, *shape):
        t[name] = rng.standard_normal(shape).astype(np.float32) * 0.1

    add(prefix + "embed_tokens.weight", v, d)
    for i in range(c["num_hidden_layers"]):
        p = f"{prefix}layers.{i}."
        for n, rows, cols in (("q", q, d), ("k", kv, d), ("v", kv, d), ("o", d, q)):
            add(f"{p}self_attn.{n}_proj.weight", rows, cols)
            if bias and n != "o":
                add(f"{p}self_attn.{n}_proj.bias", rows)
        for n, rows, cols in (("gate", ff, d), ("up", ff, d), ("down", d, ff)):
            add(f"{p}mlp.{n}_proj.weight", rows, cols)
        if head_norms:
            add(p + "self_attn.q_norm.weight", dh)
            add(p + "self_attn.k_norm.weight", dh)
        for n in ("input_layernorm", "post_attention_layernorm") + (("pre_feedforward_layernorm", "post_feedforward_layernorm") if gemma else ()):
            add(f"{p}{n}.weight", d)
    add(prefix + "norm.weight", d)
    if not tied:
        add(head + "lm_head.weight", v, d)
    return t


def trained(pre, size=310):
    """The words of a byte-level BPE in their order, and its merges."""
    t = Tokenizer(models.BPE())
    first = pre_tokenizers.Split(Regex(PRE[pre][0][1]), "isolated") if pre in PRE else None
    last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=first is None)
    t.pre_tokenizer = pre_tokenizers.Sequence([first, last]) if first else last
    t.train_from_iterator([TEXT], trainers.BpeTrainer(vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    model = json.loads(t.to_str())["model"]
    return sorted(model["vocab"], key=model["vocab"].get), [m if isinstance(m, list) else m.split(" ") for m in model["merges"]]


def byte_of_letter():
    prints = [b for b in range(256) if 0x21 <= b <= 0x7e or (b >= 0xa1 and b != 0xad)]
    others = [b for b in range(256) if b not in prints]
    return {**{chr(b): b for b in prints}, **{chr(256 + i): b for i, b in enumerate(others)}}


def tekken_json(folder, version, special):
    """tekken.json: 30 special tokens, of which `special` are named there (None: by the version), and words by rank; some more than are used."""
    letters = byte_of_letter()
    words = [bytes([b]) for b in range(256)]
    for left, right in trained("tekken", 330)[1]:
        words.append(bytes(letters[c] for c in left + right))
    vocab = [dict(rank=i, token_bytes=base64.b64encode(w).decode(), token_str=None) for i, w in enumerate(words)]
    value = dict(config=dict(pattern=TEKKEN, num_vocab_tokens=len(words), default_vocab_size=30 + len(words) - 4, default_num_special_tokens=30,
                             version=version), vocab=vocab)
    if special:
        value["special_tokens"] = [dict(rank=i, token_str=s, is_control=True) for i, s in enumerate(special)]
    write_json(folder + "/tekken.json", value)
    return 30 + len(words) - 4


BASE = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            max_position_embeddings=512, rms_norm_eps=1e-5)
CHAT = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"


def llama3(folder, rng):
    v = byte_level(folder, "llama-bpe", ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"], bos="<|begin_of_text|>")
    write_json(folder + "/tokenizer_config.json", {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>", "chat_template": CHAT,
                                                   "tokenizer_class": "PreTrainedTokenizerFast"})
    c = dict(BASE, architectures=["LlamaForCausalLM"], model_type="llama", vocab_size=v + 3, head_dim=16, rope_theta=500000.0,
             rope_scaling=dict(rope_type="llama3", factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=128),
             bos_token_id=v - 3, eos_token_id=[v - 2, v - 1], tie_word_embeddings=True)
    return c, weights(c, rng), "BF16", 2


def llama2(folder, rng):
    sentencepiece_model(folder, 330)
    write_json(folder + "/tokenizer_config.json", {
        "add_bos_token": True, "add_eos_token": False, "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "legacy": False,
        "tokenizer_class": "LlamaTokenizer", "added_tokens_decoder": {
            str(i): {"content": s, "special": True, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False}
            for i, s in enumerate(["<unk>", "<s>", "</s>"])}})
    write_json(folder + "/added_tokens.json", {"<pad>": 330})
    c = dict(BASE, architectures=["LlamaForCausalLM"], model_type="llama", vocab_size=332, num_key_value_heads=4, rope_theta=10000.0,
             bos_token_id=1, eos_token_id=2, pad_token_id=0, rope_scaling=dict(type="linear", factor=2.0), tie_word_embeddings=False)
    return c, weights(c, rng, tied=False), "F16", 1


def mistral(folder, rng):
    v = byte_level(folder, "tekken", ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"], bos="<s>")
    write_json(folder + "/tokenizer_config.json", {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "add_prefix_space": False,
                                                   "tokenizer_class": "PreTrainedTokenizerFast"})
    with open(folder + "/chat_template.jinja", "w", encoding="utf-8") as f:
        f.write(CHAT)
    c = dict(BASE, architectures=["MistralForCausalLM"], model_type="mistral", vocab_size=v, head_dim=16, rope_theta=1e6, bos_token_id=1,
             eos_token_id=2, tie_word_embeddings=False, sliding_window=None)
    return c, weights(c, rng, tied=False), "F32", 1


def smollm(folder, rng):
    v = byte_level(folder, "smollm", ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], plain=["<custom>"])
    write_json(folder + "/tokenizer_config.json", {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "unk_token": "<|endoftext|>",
                                                   "pad_token": "<|im_end|>", "add_prefix_space": False, "chat_template": CHAT,
                                                   "tokenizer_class": "GPT2Tokenizer"})
    c = dict(BASE, architectures=["LlamaForCausalLM"], model_type="llama", vocab_size=v, rope_theta=10000.0, tie_word_embeddings=True)
    return c, weights(c, rng), "BF16", 1


def smollm3(folder, rng):
    v = byte_level(folder, "llama-bpe", ["<|begin_of_text|>", "<|im_end|>"])
    write_json(folder + "/tokenizer_config.json", {"bos_token": None, "eos_token": "<|im_end|>", "tokenizer_class": "PreTrainedTokenizerFast"})
    c = dict(BASE, architectures=["SmolLM3ForCausalLM"], model_type="smollm3", vocab_size=v, rope_theta=5e6, tie_word_embeddings=True,
             rope_scaling=dict(rope_type="yarn", factor=2.0, original_max_position_embeddings=256, beta_fast=32.0, beta_slow=1.0))
    return c, weights(c, rng), "BF16", 1


def granite(folder, rng):
    v = byte_level(folder, "refact", ["<|end_of_text|>", "<fim_prefix>", "<|start_of_role|>"])
    write_json(folder + "/tokenizer_config.json", {"bos_token": "<|end_of_text|>", "eos_token": "<|end_of_text|>", "add_bos_token": False,
                                                   "add_prefix_space": False, "tokenizer_class": "GPT2Tokenizer"})
    c = dict(BASE, architectures=["GraniteForCausalLM"], model_type="granite", vocab_size=v, rope_theta=1e7, attention_multiplier=0.015625,
             embedding_multiplier=12.0, residual_multiplier=0.22, logits_scaling=8.0, tie_word_embeddings=True)
    return c, weights(c, rng), "BF16", 1


def qwen(folder, rng, kind):
    v = byte_level(folder, "qwen2", ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], plain=["<tool_call>"])
    write_json(folder + "/tokenizer_config.json", {"bos_token": None, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>",
                                                   "add_bos_token": False, "add_prefix_space": False, "chat_template": CHAT,
                                                   "tokenizer_class": "Qwen2Tokenizer"})
    c = dict(BASE, vocab_size=v + 5, rope_theta=1e6, rms_norm_eps=1e-6, tie_word_embeddings=False)
    if kind == "qwen3":
        c.update(architectures=["Qwen3ForCausalLM"], model_type="qwen3", head_dim=16)
    else:
        c.update(architectures=["Qwen2ForCausalLM"], model_type="qwen2")
    return c, weights(c, rng, bias=kind == "qwen2", head_norms=kind == "qwen3", tied=False), "BF16", 1


def qwen2(folder, rng):
    return qwen(folder, rng, "qwen2")


def qwen3(folder, rng):
    return qwen(folder, rng, "qwen3")


def gemma3(folder, rng):
    sentencepiece_model(folder, 330)
    write_json(folder + "/tokenizer_config.json", {"add_bos_token": True, "add_eos_token": False, "bos_token": "<bos>", "eos_token": "</s>",
                                                   "tokenizer_class": "GemmaTokenizer", "added_tokens_decoder": {
                                                       "4": {"content": "<start_of_turn>", "special": True}, "5": {"content": "\u2581\u2581", "special": False}}})
    text = dict(BASE, model_type="gemma3_text", vocab_size=330, head_dim=16, sliding_window=64, rope_theta=1e6, rope_local_base_freq=10000.0,
                num_hidden_layers=2, rope_scaling=dict(rope_type="linear", factor=8.0), rms_norm_eps=1e-6)
    c = dict(architectures=["Gemma3ForConditionalGeneration"], model_type="gemma3", text_config=text, bos_token_id=1, eos_token_id=2, pad_token_id=0,
             vision_config=dict(model_type="siglip_vision_model", hidden_size=8, num_hidden_layers=1, num_attention_heads=1, image_size=32,
                                patch_size=16, intermediate_size=16))
    return c, weights(text, rng, head_norms=True, gemma=True, prefix="language_model.model."), "BF16", 1


def larger(folder, rng, text, architecture, model_type, prefix, head, **more):
    """The text model of FAMILIES inside an image model, whose encoder is passed over."""
    c, _, dtype, parts = text(folder, rng)
    c.pop("architectures")
    tensors = weights(c, rng, bias=model_type in ("qwen2_vl", "internvl_chat", "qwen2_audio"), head_norms=model_type == "qwen3_vl", tied=c["tie_word_embeddings"], prefix=prefix, head=head)
    tensors["model.vision_tower.patch_embed.weight"] = rng.standard_normal((4, 4)).astype(np.float32)
    return dict(architectures=[architecture], model_type=model_type, text_config=c, vision_config={}, **more), tensors, dtype, parts


def smolvlm(folder, rng):
    c, tensors, dtype, parts = larger(folder, rng, smollm, "SmolVLMForConditionalGeneration", "smolvlm", "model.text_model.", "")
    c["text_config"]["architectures"] = ["VLlama3ForCausalLM"]
    return c, tensors, dtype, parts


def mistral3(folder, rng):
    c, tensors, dtype, parts = larger(folder, rng, mistral, "Mistral3ForConditionalGeneration", "mistral3", "language_model.model.", "language_model.")
    c["vision_config"] = dict(model_type="pixtral")
    return c, tensors, dtype, parts


def qwen2vl(folder, rng):
    c, tensors, dtype, parts = larger(folder, rng, qwen2, "Qwen2VLForConditionalGeneration", "qwen2_vl", "model.language_model.", "")
    c["text_config"].update(model_type="qwen2_vl_text", rope_scaling=dict(type="mrope", mrope_section=[1, 1, 2]))
    return c, tensors, dtype, parts


def qwen3vl(folder, rng):
    c, tensors, dtype, parts = larger(folder, rng, qwen3, "Qwen3VLForConditionalGeneration", "qwen3_vl", "model.language_model.", "")
    c["text_config"].update(model_type="qwen3_vl_text", rope_scaling=dict(rope_type="default", mrope_section=[4, 2, 2], mrope_interleaved=True))
    c["vision_config"] = dict(deepstack_visual_indexes=[1])
    return c, tensors, dtype, parts


def llava(folder, rng):
    return larger(folder, rng, llama2, "LlavaForConditionalGeneration", "llava", "language_model.model.", "language_model.")


def internvl(folder, rng):
    c, tensors, dtype, parts = larger(folder, rng, qwen2, "InternVLChatModel", "internvl_chat", "language_model.model.", "language_model.")
    c["llm_config"] = dict(c.pop("text_config"), architectures=["Qwen2ForCausalLM"])
    return c, tensors, dtype, parts


def qwen2audio(folder, rng):
    c, tensors, dtype, parts = larger(folder, rng, qwen2, "Qwen2AudioForConditionalGeneration", "qwen2_audio", "language_model.model.", "language_model.")
    c["audio_config"] = c.pop("vision_config")
    return c, tensors, dtype, parts


def tekken(folder, rng):
    """Mistral's own tokenizer file alone, of a version that does not list its special tokens; tokenizer_config.json is not looked at."""
    v = tekken_json(folder, "v3", None)
    write_json(folder + "/tokenizer_config.json", {"bos_token": "[INST]", "add_prefix_space": True})
    c = dict(BASE, architectures=["MistralForCausalLM"], model_type="mistral", vocab_size=v, head_dim=16, rope_theta=1e6, tie_word_embeddings=False)
    return c, weights(c, rng, tied=False), "BF16", 1


def voxtral(folder, rng):
    """A later version, which names some of its special tokens, around Voxtral's decoder."""
    names = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]",
             "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]",
             "[TOOL_CONTENT]", "[TRANSCRIBE]", "[TOOL_ARGS]", "[CALL_ID]", "[AUDIO]", "[BEGIN_AUDIO]"]
    v = tekken_json(folder, "v7", names)
    text = dict(BASE, model_type="llama", vocab_size=v, head_dim=16, rope_theta=1e8, tie_word_embeddings=False)
    tensors = weights(text, rng, tied=False, prefix="language_model.model.", head="language_model.")
    tensors["audio_tower.conv1.bias"] = rng.standard_normal(4).astype(np.float32)
    c = dict(architectures=["VoxtralForConditionalGeneration"], model_type="voxtral", text_config=text, audio_config=dict(model_type="voxtral_encoder"))
    return c, tensors, "BF16", 1


def two_files(folder, pre, specials):
    """vocab.json and merges.txt; the special tokens stand in other files. Returns the ids of those and the number of words."""
    words, merges = trained(pre)
    write_json(folder + "/vocab.json", {w: i for i, w in enumerate(words)})
    with open(folder + "/merges.txt", "w", encoding="utf-8") as f:
        f.write("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    return {s: len(words) + i for i, s in enumerate(specials)}, len(words) + len(specials)


def qwen2files(folder, rng):
    ids, v = two_files(folder, "qwen2", ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>"])
    write_json(folder + "/tokenizer_config.json", {
        "add_bos_token": False, "add_prefix_space": False, "bos_token": None, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "unk_token": None,
        "tokenizer_class": "Qwen2Tokenizer", "chat_template": CHAT, "added_tokens_decoder": {
            str(i): {"content": s, "special": s != "<tool_call>", "lstrip": False, "rstrip": False, "normalized": False, "single_word": False}
            for s, i in ids.items()}})
    c = dict(BASE, architectures=["Qwen2ForCausalLM"], model_type="qwen2", vocab_size=v + 5, rope_theta=1e6, tie_word_embeddings=False,
             bos_token_id=ids["<|endoftext|>"], eos_token_id=ids["<|im_end|>"])
    return c, weights(c, rng, bias=True, tied=False), "BF16", 1


def gpt2files(folder, rng):
    """The older layout: added_tokens.json says what is added, two other files what is special."""
    ids, v = two_files(folder, "gpt-2", ["<|endoftext|>", "<pause>", "<custom>"])
    write_json(folder + "/added_tokens.json", ids)
    write_json(folder + "/special_tokens_map.json", {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"})
    write_json(folder + "/tokenizer_config.json", {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": False,
                                                   "additional_special_tokens": ["<pause>"]})
    c = dict(BASE, architectures=["LlamaForCausalLM"], model_type="llama", vocab_size=v, rope_theta=10000.0, tie_word_embeddings=True,
             bos_token_id=ids["<|endoftext|>"], eos_token_id=ids["<|endoftext|>"])
    return c, weights(c, rng), "BF16", 1


FAMILIES = {"llama3": (llama3, "llama-bpe"), "llama2": (llama2, None), "mistral": (mistral, "tekken"), "smollm": (smollm, "smollm"),
            "smollm3": (smollm3, "llama-bpe"), "granite": (granite, "refact"), "qwen2": (qwen2, "qwen2"), "qwen3": (qwen3, "qwen2"),
            "gemma3": (gemma3, None), "smolvlm": (smolvlm, "smollm"), "mistral3": (mistral3, "tekken"), "qwen2vl": (qwen2vl, "qwen2"), "llava": (llava, None),
            "internvl": (internvl, "qwen2"), "qwen2audio": (qwen2audio, "qwen2"), "qwen3vl": (qwen3vl, "qwen2"), "tekken": (tekken, None), "voxtral": (voxtral, None),
            "qwen2files": (qwen2files, "qwen2"), "gpt2files": (gpt2files, "gpt-2")}

PIECES = ["", " ", "Hello, the garden's quick fox", "  two  blanks ", "\n\n\tA\r\n", "1234567 9.5", "caf\u00e9 \u65e5\u672c \U0001f642", "DON'T don't we'll",
          "the the thethethe ing", "a" * 37, "XMLHttp//x\n", "\u00a0\u2003", "_-_()[];"]
SPELLINGS = {"tekken": ["<s>", "[INST]", "[/INST]", "<SPECIAL_29>", "[IMG_BREAK]"], "voxtral": ["[BEGIN_AUDIO]", "[AUDIO]", "<SPECIAL_25>", "</s>"],
             "qwen2files": ["<|im_start|>", "<|im_end|>", "<tool_call>"], "gpt2files": ["<|endoftext|>", "<pause>", "<custom>"]}


def reference_ids(name, folder):
    """[[text, ids]]: of texts, and of texts with special tokens between them."""
    rng = np.random.default_rng(99)
    mixed = [[str(rng.choice(SPELLINGS[name])) if rng.random() < 0.5 else str(rng.choice(PIECES)) for _ in range(6)] for _ in range(20)]
    if name in ("qwen2files", "gpt2files"):
        from transformers import AutoTokenizer
        tokenizer = AutoTokenizer.from_pretrained(folder)
        return [[t, tokenizer.encode(t, add_special_tokens=False)] for t in PIECES + ["".join(m) for m in mixed]]
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer
    tokenizer = Tekkenizer.from_file(folder + "/tekken.json")
    out = [[t, tokenizer.encode(t, bos=False, eos=False)] for t in PIECES]
    for pieces in mixed:  # it knows special tokens by their name alone
        ids, plain = [], ""
        for piece in pieces:
            if piece in SPELLINGS[name]:
                ids += tokenizer.encode(plain, bos=False, eos=False) + [tokenizer.get_special_token(piece)]
                plain = ""
            else:
                plain += piece
        out.append(["".join(pieces), ids + tokenizer.encode(plain, bos=False, eos=False)])
    return out

RUN = """
import runpy, sys
sys.path.insert(0, {gguf!r}); sys.path.insert(0, {root!r})
import torch
for name in ("float8_e4m3fn", "float8_e5m2", "uint16", "uint32", "uint64"):
    if not hasattr(torch, name): setattr(torch, name, name)
from conversion import base
base.TextModel.get_vocab_base_pre = lambda self, tokenizer: {pre!r}
sys.argv = ["convert_hf_to_gguf.py", {folder!r}, "--outfile", {out!r}, "--outtype", "auto"]
runpy.run_path({root!r} + "/convert_hf_to_gguf.py", run_name="__main__")
"""
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


def listing(path):
    """expected.txt: what a GGUF file holds, but for free text."""
    with open(path, "rb") as f:
        b = f.read()
    at = 4

    def take(fmt):
        nonlocal at
        v = struct.unpack_from("<" + fmt, b, at)[0]
        at += struct.calcsize("<" + fmt)
        return v

    def string():
        nonlocal at
        n = take("Q")
        at += n
        return b[at - n:at]

    lines = []
    take("I")
    n_tensors, n_keys = take("Q"), take("Q")
    for _ in range(n_keys):
        key, kind = string().decode(), take("I")
        if kind == 8:
            value = "string " + string().hex()
        elif kind == 9:
            elem, n = take("I"), take("Q")
            start = at
            for _ in range(n):
                string() if elem == 8 else take(NUMBERS[elem])
            value = f"list {elem} {n} {hashlib.sha256(b[start:at]).hexdigest()}"
        else:
            start = at
            take(NUMBERS[kind])
            value = f"number {kind} {b[start:at].hex()}"
        if not key.startswith("general.") or key in ("general.architecture", "general.file_type", "general.quantization_version", "general.type"):
            lines.append(f"key {key} {value}")
    infos = []
    for _ in range(n_tensors):
        name, n = string().decode(), take("I")
        shape = [take("Q") for _ in range(n)]
        infos.append((name, shape, take("I"), take("Q")))
    start = (at + 31) // 32 * 32
    for name, shape, kind, offset in infos:
        n = int(np.prod(shape)) * {0: 4, 1: 2, 30: 2}[kind]
        lines.append(f"tensor {name} {kind} {'x'.join(map(str, shape))} {hashlib.sha256(b[start + offset:start + offset + n]).hexdigest()}")
    return "\n".join(sorted(lines)) + "\n"


def main():
    root, out = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    only = sys.argv[3:] or list(FAMILIES)
    for seed, name in enumerate(FAMILIES):
        if name not in only:
            continue
        make, pre = FAMILIES[name]
        folder = os.path.join(out, name)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        config, tensors, dtype, parts = make(folder, np.random.default_rng(seed))
        write_json(folder + "/config.json", config)
        if parts == 1:
            save(folder + "/model.safetensors", tensors, dtype)
        else:
            names, where = list(tensors), {}
            for i in range(parts):
                file = f"model-{i + 1:05}-of-{parts:05}.safetensors"
                mine = names[i * len(names) // parts:(i + 1) * len(names) // parts]
                save(f"{folder}/{file}", {n: tensors[n] for n in mine}, dtype)
                where.update(dict.fromkeys(mine, file))
            write_json(folder + "/model.safetensors.index.json", {"metadata": {}, "weight_map": where})
        with tempfile.TemporaryDirectory() as temp:
            gguf = temp + "/reference.gguf"
            script = RUN.format(gguf=root + "/gguf-py", root=root, pre=pre, folder=folder, out=gguf)
            done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(f"{name}: {done.stderr[-3000:]}")
            if os.environ.get("KEEP"):
                shutil.copy(gguf, f"{os.environ['KEEP']}/{name}.gguf")
            with open(folder + "/expected.txt", "w", encoding="utf-8") as f:
                f.write(listing(gguf))
        if name in SPELLINGS:
            write_json(folder + "/ids.json", reference_ids(name, folder))
        print(name)


if __name__ == "__main__":
    main()
