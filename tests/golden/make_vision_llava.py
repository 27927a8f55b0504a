#!/usr/bin/env python3
"""Makes encoders of LLaVA's kin in tests/golden/vision/ (random weights in the layout of llama.cpp's legacy converter,
tools/mtmd/legacy-models/convert_image_encoder_to_gguf.py) and what PyTorch computes with them of drawn pictures.

  make_vision_llava.py mobilevlm     mobilevlm.gguf, mobilevlm_v2.gguf: transformers' CLIPVisionModel; MobileVLM's projectors, which are not
                                     in transformers, written again here from the papers (arXiv:2312.16886, 2402.03766) and checked against
                                     the authors' module (--authors FILE: their mobilevlm/model/vision_projector.py; needs timm, torchvision)
  make_vision_llava.py granite       granite_vision.gguf: transformers' LlavaNextModel with a SigLIP tower and four feature layers, and its own
                                     image processor; patches do not fill the tile, as in the published models
  make_vision_llava.py siglip        llava_siglip.gguf, llavanext_siglip.gguf: transformers' LlavaModel and LlavaNextModel with SigLIP towers, one
                                     layer's features; llava_layers.gguf: CLIP, features of two layers

NAME_PICTURE_rows.npy, NAME_PICTURE_in.npy: as make_vision_models.py says. Needs torch 2.15, transformers 5.24, gguf 0.19, numpy 2.4.6,
Pillow 12.0.0.
"""
import argparse
import types

import gguf
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from transformers import CLIPVisionConfig, CLIPVisionModel, GraniteConfig, LlamaConfig, LlavaConfig, LlavaNextConfig, SiglipVisionConfig
from transformers.models.llava.modeling_llava import LlavaModel
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.llava_next.modeling_llava_next import LlavaNextModel
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from make_vision_models import CLIP_MEAN, CLIP_STD, OUT, normalise, samples


def randomise(m, seed):
    """Norms around 1, the rest wide enough to make every part count; all exact in float16."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, p in m.named_parameters():
            norm = "norm" in name and name.endswith("weight")
            wide = 0.2 if p.dim() < 2 else 1.5 / p[0].numel() ** 0.5
            p.copy_((torch.randn_like(p) * wide + norm).half().float())
    return {k: v.detach() for k, v in m.state_dict().items()}


def legacy_name(name):
    """As the legacy converter calls a tower's tensor: the two matrices of a block are named the wrong way round."""
    for a, b in (("vision_model.", "v."), ("encoder.layers", "blk"), ("embeddings.", ""), ("_proj", ""), ("self_attn.", "attn_"), ("layer_norm", "ln"),
                 ("layernorm", "ln"), ("mlp.fc1", "ffn_down"), ("mlp.fc2", "ffn_up"), ("embedding", "embd"), ("layrnorm", "ln")):
        name = name.replace(a, b)
    return name if name.startswith("v.") else "v." + name


def tower_tensors(state, n_run):
    """Of the blocks that run, as the converter takes them; the norm behind the last is left out."""
    out = {}
    for k, v in state.items():
        if "post_layernorm" in k or "head." in k or "position_ids" in k or (".layers." in k and int(k.split(".layers.")[1].split(".")[0]) >= n_run):
            continue
        out[legacy_name(k)] = v
    return out


def write(name, config, n_run, mean, std, tensors, projector="mlp", gelu=False, keys=()):
    w = gguf.GGUFWriter(str(OUT / f"{name}.gguf"), "clip")
    w.add_bool("clip.has_text_encoder", False)
    w.add_bool("clip.has_vision_encoder", True)
    w.add_bool("clip.has_llava_projector", True)
    w.add_file_type(1)
    w.add_name(f"{name}-tower")
    w.add_description("image encoder for LLaVA")
    w.add_string("clip.projector_type", projector)
    for k, v in dict(image_size=config.image_size, patch_size=config.patch_size, embedding_length=config.hidden_size,
                     feed_forward_length=config.intermediate_size, projection_dim=0, block_count=n_run).items():
        w.add_uint32(f"clip.vision.{k}", v)
    w.add_uint32("clip.vision.attention.head_count", config.num_attention_heads)
    w.add_float32("clip.vision.attention.layer_norm_epsilon", config.layer_norm_eps)
    for k, v in keys:
        w.add_array(k, v) if isinstance(v, list) else w.add_string(k, v)
    w.add_array("clip.vision.image_mean", list(mean))
    w.add_array("clip.vision.image_std", list(std))
    w.add_bool("clip.use_gelu", gelu)
    for k, v in tensors.items():
        half = v.dim() in (2, 4)
        w.add_tensor(k, np.ascontiguousarray(v.squeeze().numpy(), np.float16 if half else np.float32))
    w.write_header_to_file(), w.write_kv_data_to_file(), w.write_tensors_to_file(), w.close()


def padded(img, side, mean):
    longer = max(img.size)
    square = Image.new("RGB", (longer, longer), tuple(int(m * 255) for m in mean))
    square.paste(img, ((longer - img.width) // 2, (longer - img.height) // 2))
    return square.resize((side, side), Image.BICUBIC)


def save(name, picture, rows, pixels, seed):
    np.save(OUT / f"{name}_{picture}_rows.npy", np.ascontiguousarray(rows.numpy()[:, ::8], np.float32))
    np.save(OUT / f"{name}_{picture}_in.npy", samples(pixels, seed))


# ---- MobileVLM ----

def as_map(x):
    side = int(x.shape[0] ** 0.5)
    return x.T.reshape(1, -1, side, side)


def mobile_block(w, p, x, stride):
    """Depthwise convolution, norm over the channels, hard swish, squeeze and excitation, pointwise convolution, norm."""
    n = x.shape[1]
    over_channels = lambda y, q: F.layer_norm(y.permute(0, 2, 3, 1), (n,), w[q + "weight"], w[q + "bias"], 1e-5).permute(0, 3, 1, 2)
    y = over_channels(F.conv2d(x, w[p + "0.0.weight"], stride=stride, padding=1, groups=n), p + "0.1.")
    y = F.hardswish(y)
    s = F.relu(F.conv2d(y.mean((2, 3), keepdim=True), w[p + "1.fc1.weight"], w[p + "1.fc1.bias"]))
    y = y * F.hardsigmoid(F.conv2d(s, w[p + "1.fc2.weight"], w[p + "1.fc2.bias"]))
    y = over_channels(F.conv2d(y, w[p + "2.0.weight"]), p + "2.1.")
    return y + x if stride == 1 else y


def ldp(w, x):
    x = F.linear(F.gelu(F.linear(x, w["model.mlp.1.weight"], w["model.mlp.1.bias"])), w["model.mlp.3.weight"], w["model.mlp.3.bias"])
    x = mobile_block(w, "model.mb_block.1.block.", as_map(x), 1)
    return mobile_block(w, "model.mb_block.2.block.", x, 2).flatten(2)[0].T


def ldpv2(w, x):
    x = F.linear(F.gelu(F.linear(x, w["mlp.mlp.0.weight"], w["mlp.mlp.0.bias"])), w["mlp.mlp.2.weight"], w["mlp.mlp.2.bias"])
    x = F.adaptive_avg_pool2d(as_map(x), (12, 12))
    x = x + F.conv2d(x, w["peg.peg.0.weight"], w["peg.peg.0.bias"], padding=1, groups=x.shape[1])
    return x.flatten(2)[0].T


def projector_weights(v2, d, e, seed):
    g = torch.Generator().manual_seed(seed)
    around = lambda *shape, at=0.0: (torch.randn(shape, generator=g) * (0.2 if len(shape) < 2 else 1.5 / torch.tensor(shape[1:]).prod() ** 0.5) + at).half().float()
    a, b, stem = (0, 2, "mlp.mlp") if v2 else (1, 3, "model.mlp")
    w = {f"{stem}.{a}.weight": around(e, d), f"{stem}.{a}.bias": around(e), f"{stem}.{b}.weight": around(e, e), f"{stem}.{b}.bias": around(e)}
    if v2:
        return dict(w, **{"peg.peg.0.weight": around(e, 1, 3, 3), "peg.peg.0.bias": around(e)})
    squeezed = 16 # torchvision: e / 4 to the nearest multiple of 8, of e = 56
    for i in (1, 2):
        p = f"model.mb_block.{i}.block."
        w.update({p + "0.0.weight": around(e, 1, 3, 3), p + "0.1.weight": around(e, at=1), p + "0.1.bias": around(e),
                  p + "1.fc1.weight": around(squeezed, e, 1, 1), p + "1.fc1.bias": around(squeezed), p + "1.fc2.weight": around(e, squeezed, 1, 1),
                  p + "1.fc2.bias": around(e), p + "2.0.weight": around(e, e, 1, 1), p + "2.1.weight": around(e, at=1), p + "2.1.bias": around(e)})
    return w


def as_the_authors(path, v2, w, x, d, e):
    m = types.ModuleType("authors")
    exec(compile(open(path).read(), path, "exec"), m.__dict__)
    p = (m.LDPNetV2Projector if v2 else m.LDPNetProjector)(types.SimpleNamespace(mm_hidden_size=d, hidden_size=e)).eval()
    p.load_state_dict(w)
    return p(x[None])[0]


def mobilevlm(authors):
    for v2, name, px, patch, d, ff, heads, e in ((False, "mobilevlm", 126, 14, 48, 80, 3, 56), (True, "mobilevlm_v2", 210, 14, 40, 72, 5, 48)):
        c = CLIPVisionConfig(hidden_size=d, intermediate_size=ff, num_hidden_layers=3, num_attention_heads=heads, image_size=px, patch_size=patch)
        tower = CLIPVisionModel(c).eval()
        state = randomise(tower, 21 + v2)
        w = projector_weights(v2, d, e, 31 + v2)
        stem = (lambda k: k.replace("mlp.mlp", "mm.model.mlp").replace("peg.peg", "mm.model.peg")) if v2 else (lambda k: "mm." + k)
        tensors = dict(tower_tensors(state, 2), **{stem(k): t for k, t in w.items()})
        write(name, c, 2, CLIP_MEAN, CLIP_STD, tensors, projector="ldpv2" if v2 else "ldp") # a layer is not named: the file's 2 blocks of 3 run
        for picture in ("portrait", "small"):
            px_in = normalise(padded(Image.open(OUT / f"{picture}.png").convert("RGB"), px, CLIP_MEAN), CLIP_MEAN, CLIP_STD)
            with torch.no_grad():
                x = tower(torch.from_numpy(px_in)[None], output_hidden_states=True).hidden_states[-2][0, 1:]
                rows = (ldpv2 if v2 else ldp)(w, x)
                if authors:
                    off = (as_the_authors(authors, v2, w, x, d, e) - rows).abs().max() / rows.abs().max()
                    print(f"{name} {picture}: {off:.1e} from the authors' module")
                    assert off < 1e-5
            save(name, picture, rows, [px_in], 8)


# ---- LLaVA, LLaVA-NeXT and Granite Vision ----

HALF = (0.5, 0.5, 0.5)


def blocks_of(layers, tower):
    """hidden_states' indices as blocks that have run: -1 is behind the last."""
    return [i % (tower.num_hidden_layers + 1) for i in ([layers] if isinstance(layers, int) else layers)]


def llava_tensors(state, n_run):
    own = {k[len("vision_tower."):]: v for k, v in state.items() if k.startswith("vision_tower.")}
    tensors = tower_tensors(own, n_run)
    tensors.update({f"mm.{j}.{e}": state[f"multi_modal_projector.linear_{i}.{e}"] for i, j in ((1, 0), (2, 2)) for e in ("weight", "bias")})
    return tensors


def square(name, tower, layers, strategy, prepare, pictures, mean, std, seed):
    """A LlavaModel whose rows are those of its get_image_features. prepare: a picture to pixels [3, h, w]."""
    text = LlamaConfig(hidden_size=40, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4, vocab_size=64)
    m = LlavaModel(LlavaConfig(vision_config=tower, text_config=text, vision_feature_layer=layers, vision_feature_select_strategy=strategy)).eval()
    blocks = blocks_of(layers, tower)
    tensors = llava_tensors(randomise(m, seed), max(blocks))
    write(name, tower, max(blocks), mean, std, tensors, keys=[("clip.vision.feature_layer", blocks)])
    for picture in pictures:
        px = prepare(Image.open(OUT / f"{picture}.png").convert("RGB"))
        with torch.no_grad():
            rows = m.get_image_features(torch.as_tensor(px)[None], vision_feature_layer=layers, vision_feature_select_strategy=strategy,
                                        output_hidden_states=True).pooler_output[0]
        save(name, picture, rows, [np.asarray(px)], 10)
        print(name, picture, px.shape, tuple(rows.shape))


def siglip():
    small = dict(hidden_size=48, intermediate_size=88, num_hidden_layers=3, num_attention_heads=3, vision_use_head=False)
    prep = SiglipImageProcessorPil(size=dict(height=104, width=104))
    square("llava_siglip", SiglipVisionConfig(image_size=104, patch_size=14, **small), -1, "full",
           lambda img: prep(img, return_tensors="pt")["pixel_values"][0].numpy(), ("landscape", "portrait"), HALF, HALF, 51)
    clip = CLIPVisionConfig(hidden_size=40, intermediate_size=72, num_hidden_layers=4, num_attention_heads=5, image_size=100, patch_size=14)
    square("llava_layers", clip, [-2, 1], "default", lambda img: normalise(padded(img, 100, CLIP_MEAN), CLIP_MEAN, CLIP_STD), ("portrait",),
           CLIP_MEAN, CLIP_STD, 52)
    text = LlamaConfig(hidden_size=40, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4, vocab_size=64)
    anyres("llavanext_siglip", SiglipVisionConfig(image_size=96, patch_size=16, **small), -2, [[96, 192], [192, 96], [192, 192], [288, 96], [96, 288]],
           ("landscape", "portrait"), text, 53)


def anyres(name, tower, layers, pinpoints, pictures, text, seed):
    """A LlavaNextModel whose rows are those of its get_image_features. layers: vision_feature_layer."""
    c = LlavaNextConfig(vision_config=tower, text_config=text, vision_feature_layer=layers, vision_feature_select_strategy="full",
                        image_grid_pinpoints=pinpoints, projector_hidden_act="gelu", image_token_index=5)
    m = LlavaNextModel(c).eval()
    state = randomise(m, seed)
    state["image_newline"] = (torch.randn(text.hidden_size) * 0.5).half().float()
    m.image_newline.data.copy_(state["image_newline"])
    blocks = blocks_of(layers, tower)
    tensors = dict(llava_tensors(state, max(blocks)), **{"model.image_newline": state["image_newline"]})
    write(name, tower, max(blocks), HALF, HALF, tensors, keys=[("clip.vision.image_grid_pinpoints", [v for p in pinpoints for v in p]),
          ("clip.vision.mm_patch_merge_type", "spatial_unpad"), ("clip.vision.feature_layer", blocks)]) # use_gelu: "gelu_pytorch_tanh" is not "gelu"
    px = tower.image_size
    prep = LlavaNextImageProcessorPil(size=dict(height=px, width=px), crop_size=dict(height=px, width=px), image_grid_pinpoints=pinpoints,
                                      image_mean=list(HALF), image_std=list(HALF), resample=3)
    for picture in pictures:
        img = prep(Image.open(OUT / f"{picture}.png").convert("RGB"), return_tensors="pt")
        with torch.no_grad():
            rows = m.get_image_features(img["pixel_values"], img["image_sizes"], vision_feature_layer=layers,
                                        vision_feature_select_strategy="full", output_hidden_states=True).pooler_output
        rows = torch.cat(list(rows)) if isinstance(rows, (list, tuple)) else rows
        save(name, picture, rows, img["pixel_values"][0].numpy(), 9)
        print(name, picture, tuple(img["pixel_values"].shape), tuple(rows.shape))


def granite():
    tower = SiglipVisionConfig(hidden_size=48, intermediate_size=88, num_hidden_layers=5, num_attention_heads=3, image_size=104, patch_size=14,
                               vision_use_head=False)
    text = GraniteConfig(hidden_size=56, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4, vocab_size=64)
    anyres("granite_vision", tower, [-3, -6, -1, -2], [[104, 104], [104, 208], [208, 104], [208, 208], [104, 312], [312, 104], [416, 104]],
           ("landscape", "portrait", "small"), text, 41)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("what", choices=["mobilevlm", "granite", "siglip"])
    ap.add_argument("--authors")
    a = ap.parse_args()
    if a.what == "mobilevlm":
        mobilevlm(a.authors)
    if a.what == "granite":
        granite()
    if a.what == "siglip":
        siglip()


if __name__ == "__main__":
    main()
