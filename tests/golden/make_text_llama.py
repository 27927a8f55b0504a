"""References of tests/test_text_llama.c, written to tests/golden/text/llama_*.

    python3 make_text_llama.py families [NAME ...]           # tiny random models of every family, with logits
    python3 make_text_llama.py prompts | llama_greedy MODEL.gguf 32 > GREEDY.json
    python3 make_text_llama.py smollm2 MODEL.gguf GREEDY.json  # SmolLM2-135M-Instruct Q4_1, dequantised to float32
    python3 make_text_llama.py fixtures DIR                  # DIR/text_llama3, DIR/text_smollm: text.gguf and text.npz

Made with torch 2.15.0, transformers 5.23.0, gguf 0.19.0, numpy; GREEDY.json by llama.cpp (the source in llama-cpp-python
0.3.36) with `llama_greedy.cpp` beside this file. The fixtures' files are llama.cpp's conversions of random transformers models.
All arrays are float32, ids included (they are small enough to be exact).

llama.cpp rounds activations to 8 bits, which moves SmolLM2's logits by a few tenths: of 35 prompts tried, its 32 greedy tokens are
those of the float32 model on 16. PROMPTS are ten of these, so that the test follows the model and not the rounding.
"""
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import gguf
import numpy as np
import torch
import transformers
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

OUT = Path(__file__).resolve().parent / "text"


def save(name, array):
    np.save(OUT / f"llama_{name}.npy", np.ascontiguousarray(array, np.float32))


def padded(lists, fill=-1):
    a = np.full((len(lists), max(map(len, lists))), fill, np.float32)
    for i, l in enumerate(lists):
        a[i, :len(l)] = l
    return a


def permute(w, n_head):
    """HF's halves of a head to neighbouring pairs, as GGUF files of the Llama kind have them."""
    return w.reshape(n_head, 2, w.shape[0] // n_head // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def unpermute(w, n_head):
    return w.reshape(n_head, w.shape[0] // n_head // 2, 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


NAMES = {  # GGUF -> HF
    "token_embd.weight": "model.embed_tokens.weight", "output.weight": "lm_head.weight", "output_norm.weight": "model.norm.weight",
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}


def hf_name(name):
    if name in NAMES:
        return NAMES[name]
    _, il, part, kind = name.split(".")
    return f"model.layers.{il}.{NAMES[part]}.{kind}"


# arch -> (transformers' model_type, pairs interleaved in the file, its configuration, further keys of the file)
TINY = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=264,
            max_position_embeddings=512, rms_norm_eps=0.02, bos_token_id=1, eos_token_id=2, pad_token_id=0)
FAMILIES = {
    "linear": ("llama", "llama", True, dict(attention_bias=True, mlp_bias=True, rope_parameters=dict(rope_type="linear", factor=4.0, rope_theta=10000.0)),
               {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}),
    "qwen2": ("qwen2", "qwen2", False, dict(rope_parameters=dict(rope_type="default", rope_theta=1e6)), {}),
    "granite": ("granite", "granite", True, dict(embedding_multiplier=2.0, residual_multiplier=0.22, attention_multiplier=0.02, logits_scaling=0.5),
                {"embedding_scale": 2.0, "residual_scale": 0.22, "attention.scale": 0.02, "logit_scale": 0.5}),
    "smollm3": ("smollm3", "smollm3", True, dict(num_hidden_layers=4, tie_word_embeddings=True, rope_parameters=dict(rope_type="default", rope_theta=5e4)), {}),
    "mistral3": ("mistral", "mistral3", True, dict(head_dim=24, sliding_window=None), {}),
    "gemma3": ("gemma3_text", "gemma3", False, dict(
        num_hidden_layers=7, head_dim=16, query_pre_attn_scalar=16, sliding_window=8, attn_implementation="eager", rope_parameters=dict(
            full_attention=dict(rope_type="linear", factor=4.0, rope_theta=1e6), sliding_attention=dict(rope_type="default", rope_theta=5e3))),
        {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0, "rope.freq_base_swa": 5e3, "attention.sliding_window": 8}),
    "qwen2vl": ("qwen2_vl_text", "qwen2vl", False, dict(
        hidden_size=64, rope_parameters=dict(rope_type="default", rope_theta=1e4, mrope_section=[2, 3, 3])), {"rope.dimension_sections": [2, 3, 3, 0]}),
    "qwen3": ("qwen3", "qwen3", False, dict(head_dim=16, rope_parameters=dict(rope_type="default", rope_theta=1e6)), {}),
    "qwen3vl": ("qwen3_vl_text", "qwen3vl", False, dict(
        head_dim=24, num_hidden_layers=3, rope_parameters=dict(rope_type="default", rope_theta=1e4, mrope_section=[5, 4, 3], mrope_interleaved=True)),
        {"rope.dimension_sections": [5, 4, 3, 0], "n_deepstack_layers": 2}),
}
GEMMA_NAMES = {"post_attention_norm": "post_attention_layernorm", "ffn_norm": "pre_feedforward_layernorm", "post_ffw_norm": "post_feedforward_layernorm"}
# A sequence with media: rows, medium or text, the map that a medium's rows lie in.
RUNS = [(10, 0, 0, 0), (12, 1, 4, 3), (9, 0, 0, 0), (10, 1, 2, 5), (6, 0, 0, 0), (300, 1, 20, 15), (4, 0, 0, 0)]


def tokens(w, n):
    """A vocabulary of bytes, enough to open the file."""
    words = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + [f"w{i}" for i in range(n - 259)]
    w.add_tokenizer_model("llama")
    w.add_tokenizer_pre("default")
    w.add_token_list(words)
    w.add_token_scores([0.0] * n)
    w.add_token_types([2, 3, 3] + [6] * 256 + [1] * (n - 259))
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)


class Headed(torch.nn.Module):
    """A decoder that transformers has no causal model of its own for."""

    def __init__(self, cfg):
        super().__init__()
        self.model = AutoModel.from_config(cfg, dtype=torch.float32)
        self.lm_head = torch.nn.Linear(cfg.hidden_size, cfg.vocab_size, bias=False)

    def forward(self, ids=None, **args):
        return SimpleNamespace(logits=self.lm_head(self.model(ids, **args).last_hidden_state))


def media(name, model, cfg, seed, n_deep=0):
    """Logits behind each fifth row of a sequence with media. n_deep: layers behind which they enter again; rows hold it behind the embedding."""
    n = sum(r[0] for r in RUNS)
    torch.manual_seed(seed)
    with torch.no_grad():
        rows = model.model.embed_tokens(torch.randint(3, cfg.vocab_size, (1, n)))
        block, pos, at, place = torch.full((n,), -1), torch.zeros(3, 1, n, dtype=torch.long), 0, 0
        for i, (m, medium, w, h) in enumerate(RUNS):
            if medium:
                rows[0, at:at + m] = torch.randn(m, cfg.hidden_size).half().float()
                block[at:at + m] = i
                j = torch.arange(m)
                pos[:, 0, at:at + m] = place + torch.stack([0 * j, j // w, j % w])
                place += max(w, h)
            else:
                pos[:, 0, at:at + m] = place + torch.arange(m)
                place += m
            at += m
        if name == "gemma3":
            q, k = torch.arange(n)[:, None], torch.arange(n)[None, :]
            seen = (k <= q) | ((block[:, None] == block[None, :]) & (block[:, None] >= 0))
            mask = lambda m: torch.where(m, 0.0, float("-inf"))[None, None]
            args = dict(attention_mask=dict(full_attention=mask(seen), sliding_attention=mask(seen & (k > q - cfg.sliding_window))))
        else:
            args = dict(position_ids=pos)
        deep = torch.randn(n_deep, n, cfg.hidden_size).half().float() * (block >= 0)[None, :, None]
        if n_deep:
            args.update(visual_pos_masks=(block >= 0)[None], deepstack_visual_embeds=[d[block >= 0] for d in deep])
        logits = model(inputs_embeds=rows, **args).logits[0, ::5].numpy()
    save(f"{name}_rows", torch.cat([rows[0], *deep], 1).numpy())
    save(f"{name}_runs", RUNS)
    save(f"{name}_runs_logits", logits)


def family(name, seed):
    kind, arch, interleaved, config, keys = FAMILIES[name]
    torch.manual_seed(seed)
    cfg = AutoConfig.for_model(kind, **{**TINY, **config})
    headed = kind in ("qwen2_vl_text", "qwen3_vl_text")
    model = (Headed(cfg) if headed else AutoModelForCausalLM.from_config(cfg, dtype=torch.float32)).eval()
    with torch.no_grad():
        for key, p in model.named_parameters():  # larger than an initialisation, so that attention is not uniform; exact in float16
            p.copy_(((arch != "gemma3") + 0.2 * torch.randn_like(p) if "norm" in key else (0.5 if key.endswith("bias") else 0.2) * torch.randn_like(p)).half().float())
    d_head = getattr(cfg, "head_dim", None) or cfg.hidden_size // cfg.num_attention_heads
    path = OUT / f"llama_{name}.gguf"
    w = gguf.GGUFWriter(path, arch)
    w.add_block_count(cfg.num_hidden_layers)
    w.add_context_length(cfg.max_position_embeddings)
    w.add_embedding_length(cfg.hidden_size)
    w.add_feed_forward_length(cfg.intermediate_size)
    w.add_head_count(cfg.num_attention_heads)
    w.add_head_count_kv(cfg.num_key_value_heads)
    w.add_layer_norm_rms_eps(cfg.rms_norm_eps)
    w.add_rope_freq_base(cfg.rope_parameters.get("full_attention", cfg.rope_parameters)["rope_theta"])
    w.add_vocab_size(cfg.vocab_size)
    if d_head * cfg.num_attention_heads != cfg.hidden_size:
        w.add_key_length(d_head)
        w.add_value_length(d_head)
    for k, v in keys.items():
        add = {str: w.add_string, float: w.add_float32, int: w.add_uint32, list: w.add_array}[type(v)]
        add(f"{arch}.{k}", v)
    tokens(w, cfg.vocab_size)
    state = {k: v.numpy() for k, v in model.state_dict().items()}
    back = {v: k for k, v in {**NAMES, **(GEMMA_NAMES if arch == "gemma3" else {})}.items()}
    for key, v in state.items():
        if key == "lm_head.weight" and getattr(cfg, "tie_word_embeddings", False):
            continue
        if key in back:
            gg = back[key]
        else:
            _, _, il, rest = key.split(".", 3)
            part, kind_ = rest.rsplit(".", 1)
            gg = f"blk.{il}.{back[part]}.{kind_}"
        if arch == "gemma3" and "norm" in key:
            v = v + 1  # transformers adds it at run time
        if interleaved and (".attn_q." in gg or ".attn_k." in gg):
            v = permute(v, cfg.num_attention_heads if ".attn_q." in gg else cfg.num_key_value_heads)
        w.add_tensor(gg, v.astype(np.float16) if v.ndim > 1 else v)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    rng = np.random.default_rng(seed)
    ids = rng.integers(3, cfg.vocab_size, (3, 40))
    with torch.no_grad():
        logits = model(torch.tensor(ids)).logits[:, -1].numpy()
    save(f"{name}_ids", ids)
    save(f"{name}_logits", logits)
    if arch in ("gemma3", "qwen2vl", "qwen3vl"):
        media(name, model, cfg, seed, keys.get("n_deepstack_layers", 0))
    print(name, path.stat().st_size, "bytes; logits' sd", logits.std())


CHAT = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
PROMPTS = [CHAT.format(q) for q in (
    "How does a refrigerator work?", "What is 12 times 12?", "What should I pack for a trip to the mountains?",
    "What is the difference between a cat and a dog?", "How do I boil an egg?", "How many days are there in a leap year?")] + [
    "The three laws of thermodynamics are", "1, 2, 3, 4, 5, 6, 7, 8,", "The first ten prime numbers are", "The chemical symbol for gold is"]


def smollm2(path, greedy_path):
    r = gguf.GGUFReader(path)
    val = lambda k: r.fields[k].contents()
    cfg = AutoConfig.for_model(
        "llama", hidden_size=val("llama.embedding_length"), intermediate_size=val("llama.feed_forward_length"),
        num_hidden_layers=val("llama.block_count"), num_attention_heads=val("llama.attention.head_count"),
        num_key_value_heads=val("llama.attention.head_count_kv"), vocab_size=val("llama.vocab_size"),
        max_position_embeddings=val("llama.context_length"), rms_norm_eps=val("llama.attention.layer_norm_rms_epsilon"),
        rope_parameters=dict(rope_type="default", rope_theta=val("llama.rope.freq_base")), tie_word_embeddings=True)
    state = {}
    for t in r.tensors:
        w = gguf.dequantize(t.data, t.tensor_type).astype(np.float32).reshape(tuple(reversed([int(n) for n in t.shape])))
        if ".attn_q." in t.name:
            w = unpermute(w, cfg.num_attention_heads)
        if ".attn_k." in t.name:
            w = unpermute(w, cfg.num_key_value_heads)
        state[hf_name(t.name)] = torch.tensor(w)
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model = AutoModelForCausalLM.from_config(cfg, dtype=torch.float32).eval()
    model.load_state_dict(state)
    top, greedy, ids = [], json.loads(Path(greedy_path).read_text()), []
    for g in greedy:
        ids.append(g["ids"])
        with torch.no_grad():
            lp = torch.log_softmax(model(torch.tensor([g["ids"]])).logits[0, -1].double(), -1).numpy()
        best = np.argsort(-lp, kind="stable")[:4096]
        top.append(np.stack([best, lp[best]], 1))
        print(len(g["ids"]), "ids; mass outside the top 4096:", 1 - np.exp(lp[best]).sum())
    save("smollm2_ids", padded(ids))
    save("smollm2_top", top)
    save("smollm2_greedy", [list(zip(g["greedy"], g["second"], g["margin"])) for g in greedy])


def fixtures(folder):
    for name in ("llama3", "smollm"):
        src = Path(folder) / f"text_{name}"
        shutil.copyfile(src / "text.gguf", OUT / f"llama_{name}.gguf")
        z = np.load(src / "text.npz")
        save(f"{name}_ids", padded([z[f"ids_{i}"] for i in range(8)]))
        save(f"{name}_logits", [z[f"hf_logits_{i}"] for i in range(8)])
        save(f"{name}_greedy", [np.stack([z[f"hfown_greedy_{i}"], z[f"hfown_margin_{i}"]], 1) for i in range(8)])


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    torch.set_num_threads(2)
    print("torch", torch.__version__, "transformers", transformers.__version__, "numpy", np.__version__, file=sys.stderr)
    what, args = sys.argv[1], sys.argv[2:]
    if what == "prompts":
        sys.stdout.buffer.write(b"".join(p.encode() + b"\0" for p in PROMPTS))
    elif what == "families":
        for i, n in enumerate(FAMILIES):
            if not args or n in args:
                family(n, 100 + i)
    else:
        {"smollm2": smollm2, "fixtures": fixtures}[what](*args)
