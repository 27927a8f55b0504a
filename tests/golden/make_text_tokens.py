#!/usr/bin/env python3
"""References for the tokenizers, by Hugging Face tokenizers 0.23.3: tests/golden/text/{bpe.gguf,bpe_ids.json,pretokens.json}.

    make_text_tokens.py LLAMA_CPP OUT_DIR

LLAMA_CPP is a source tree of llama.cpp (MIT; the sdist of llama-cpp-python 0.3.36 was used). bpe.gguf is the beginning of its
models/ggml-vocab-llama-bpe.gguf: the first tokens and the merges among them, with control tokens and two user-defined tokens
of our own behind. From the same place, copied as they are: vocab_spm.gguf (ggml-vocab-llama-spm.gguf), vocab.inp and
vocab_{spm,llama_bpe,gpt_2,qwen2}.out (ggml-vocab-*.gguf.inp and .out: texts, and the ids that transformers makes of them).
"""
import json, random, sys, unicodedata
from pathlib import Path

import gguf
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers

N_TOKENS = 3000
CONTROL = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<pad>"]
USER = ["<think>", "<think", "\n\n\n"]

WORDS = (
    "hello World don't I'LL we'Ve it'S 'ſ L'été naïve 北京 東京タワー 안녕하세요 привет МОСКВА ǅungla ＡＢＣ שלום مرحبا नमस्ते ก็ 123 1234567 ٣٤٥ Ⅳ ½ ² 3.14 "
    "0x1F ... !!! ?! -- — “q” (a) [x] {y} </s> <s> <0x0A> <think> <think a_b snake_case camelCaseWord HTTPServer ABCdef ÀÉîõü ß ŒUVRE İstanbul ﬁ "
    "e\u0301 a\u0308\u0323 \u0301 👍 👨\u200d👩\u200d👧 🇩🇪 ☺\ufe0f \u200b \ufeff \u00ad \ufffd 𝔘𝔫 𐍈 == ===== $5 €9 a/b/c http://x.y/z?q=1&r=2 foo@bar.com "
    "\\n ▁ Ġ the ing ' '' 's 'S ` ^ | ~ \u1680 \u180e \u0085 \u00a0 \u2003 \u2028 \u3000 \u202f \x1c \x1f \x00 \x7f \x0b \x0c"
).split(" ")
SPACES = [" ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", "\r", "", "", "", " \n", "\n ", "\t\t", " \t ", "    ", "\n\n\n\n"]


def texts():
    r = random.Random(20)
    out = ["", " ", "  ", "\n", "\t\n", "a", "'", "The quick brown fox jumps over the lazy dog.", "I've 12345 apples, you'll see!\n\n  def f(x):\n\treturn x"]
    out += ["".join(r.choice(WORDS) + r.choice(SPACES) for _ in range(r.randint(1, 12))) for _ in range(150)]
    out += ["".join(r.choice(" \t\n\r'aAsS1.é北\u0301\u00a0/") for _ in range(r.randint(2, 25))) for _ in range(100)]
    rare = ["".join(chr(r.choice([r.randint(32, 126), r.randint(0xA0, 0x7FF), r.randint(0x800, 0xD7FF), r.randint(0x10000, 0x1F9FF)]))
                    for _ in range(r.randint(2, 12))) for _ in range(80)]
    # PCRE2 10.42 knows Unicode 14, as Python 3.11 does; tokenizers 0.23 has letters that came later
    return out + ["".join(c for c in x if unicodedata.category(c) != "Cn") for x in rare]


ENGLISH = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
TAIL = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
CASED = r"[^\r\n\p{L}\p{N}]?%s*%s+%s|[^\r\n\p{L}\p{N}]?%s+%s*%s|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def split(expression):
    return pre_tokenizers.Split(Regex(expression), "isolated")


def words_only(*steps):
    return pre_tokenizers.Sequence([*steps, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
PRE = {  # as in the families' tokenizer.json
    "gpt-2": GPT2,
    "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), GPT2]),
    "llama-bpe": words_only(split(ENGLISH + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|" + TAIL)),
    "qwen2": words_only(split(ENGLISH + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|" + TAIL)),
    "qwen35": words_only(split(ENGLISH + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")),
    "tekken": words_only(split(CASED % (UPPER, LOWER, "", UPPER, LOWER, "", ""))),
    "gpt-4o": words_only(split(CASED % (UPPER, LOWER, ENGLISH + "?", UPPER, LOWER, ENGLISH + "?", "{1,3}"))),
    "deepseek-v3": words_only(
        split(r"\p{N}{1,3}"), split(r"[一-龥぀-ゟ゠-ヿ]+"),
        split(r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")),
    "deepseek-coder": words_only(split(r"[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split("[一-龥ࠀ-一가-\ud7ff]+"),
                                 pre_tokenizers.Digits(individual_digits=True)),
}


def word_lengths(pre, text):
    """In bytes. ByteLevel's offsets count characters; a word never begins inside one."""
    ends = sorted({b for _, (_, b) in pre.pre_tokenize_str(text)})
    starts = [0] + ends[:-1]
    return [len(text[a:b].encode()) for a, b in zip(starts, ends)]


def cut(path):
    field = lambda k: gguf.GGUFReader(path).fields[k].contents()
    kept = field("tokenizer.ggml.tokens")[:N_TOKENS]
    known = set(kept)
    merges = [m for m in field("tokenizer.ggml.merges") if all(p in known for p in (*m.split(" "), m.replace(" ", "")))]
    return kept, merges


def main():
    root, out = Path(sys.argv[1]), Path(sys.argv[2])
    kept, merges = cut(root / "models/ggml-vocab-llama-bpe.gguf")
    tokens = kept + CONTROL + USER
    w = gguf.GGUFWriter(out / "bpe.gguf", "llama")
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("llama-bpe")
    w.add_token_list(tokens)
    w.add_token_types([1] * len(kept) + [3] * len(CONTROL) + [4] * len(USER))
    w.add_token_merges(merges)
    w.add_bos_token_id(len(kept))
    w.add_eos_token_id(len(kept) + 1)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.close()

    t = Tokenizer(models.BPE({x: i for i, x in enumerate(tokens)}, [tuple(m.split(" ")) for m in merges], ignore_merges=True))
    t.pre_tokenizer = PRE["llama-bpe"]
    t.add_tokens([AddedToken(x, normalized=False) for x in USER])
    all_texts = texts()
    ids = [e.ids for e in t.encode_batch(all_texts, add_special_tokens=False)]
    (out / "bpe_ids.json").write_text(json.dumps([{"text": x, "ids": i} for x, i in zip(all_texts, ids) if "\0" not in x], ensure_ascii=False))
    lengths = {name: [word_lengths(p, x) for x in all_texts if "\0" not in x] for name, p in PRE.items()}
    (out / "pretokens.json").write_text(json.dumps({"texts": [x for x in all_texts if "\0" not in x], "lengths": lengths}, ensure_ascii=False))


main()
