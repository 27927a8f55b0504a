"""faster-whisper's engine on one 30 s window: peer_faster_whisper.py FOLDER PRECISION THREADS SOUND; prints rates as JSON.

window: encoder passes a second. decode: greedy tokens a second behind an encoded window, the prompt not counted. 11 s sample: whole
transcriptions a second, the loading of Python and the model not counted."""
import json
import sys
import time

import ctranslate2
from faster_whisper import WhisperModel
from faster_whisper.audio import decode_audio, pad_or_trim

folder, precision, threads, sound = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
model = WhisperModel(folder, device="cpu", compute_type=precision, cpu_threads=threads)
samples = decode_audio(sound)
features = pad_or_trim(model.feature_extractor(samples))
view = ctranslate2.StorageView.from_array(features[None].astype("float32"))
encoded = model.model.encode(view)  # warm-up
encode_s = []
for _ in range(3):
    t = time.perf_counter()
    encoded = model.model.encode(view)
    encode_s.append(time.perf_counter() - t)
prompt = [model.hf_tokenizer.token_to_id("<|startoftranscript|>"), model.hf_tokenizer.token_to_id("<|notimestamps|>")]
if model.model.is_multilingual:
    prompt[1:1] = [model.hf_tokenizer.token_to_id("<|en|>"), model.hf_tokenizer.token_to_id("<|transcribe|>")]
rates = []
for _ in range(4):
    t = time.perf_counter()
    r = model.model.generate(encoded, [prompt], beam_size=1, max_length=224)
    rates.append((time.perf_counter() - t) / (len(r[0].sequences_ids[0]) + 1))  # the end token is a step, too
def transcribe():
    t = time.perf_counter()
    list(model.transcribe(sound, beam_size=1, language="en")[0])
    return time.perf_counter() - t


print(json.dumps({"11 s sample": 1 / min(transcribe() for _ in range(2)), "window": 1 / min(encode_s), "decode": 1 / min(rates[1:])}))
