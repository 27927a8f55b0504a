#!/usr/bin/env python3
"""What Jinja makes of the chat templates: tests/golden/text/chat.json.

    make_text_chat.py LLAMA_CPP SMOLLM2_GGUF > tests/golden/text/chat.json

LLAMA_CPP is a source tree of llama.cpp (MIT; the sdist of llama-cpp-python 0.3.36 was used): templates come from its
models/templates and tests/test-chat-template.cpp. SMOLLM2_GGUF is SmolLM2-135M-Instruct. The others are written here as the
models' tokenizer_config.json or processor have them. Settings are those of Hugging Face transformers. Made with Jinja2 3.1.6.
"""
import ast, json, re, sys
from pathlib import Path

from gguf import GGUFReader
from jinja2.sandbox import ImmutableSandboxedEnvironment

ZEPHYR = (
    "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n"
    "{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n"
    "{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n"
    "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"
)
QWEN = (
    "{%% for message in messages %%}{%% if loop.first and messages[0]['role'] != 'system' %%}{{ '<|im_start|>system\n%s<|im_end|>\n' }}"
    "{%% endif %%}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{%% endfor %%}"
    "{%% if add_generation_prompt %%}{{ '<|im_start|>assistant\n' }}{%% endif %%}"
)
LLAMA2 = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}"
    "{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}"
    "{% if loop.index0 == 0 and system_message != false %}"
    "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
    "{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
MISTRAL_01 = (
    "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}{% if message['role'] == 'user' %}"
    "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token + ' ' }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
)
GEMMA3 = (
    "{{ bos_token }}\n{%- if messages[0]['role'] == 'system' -%}\n    {%- set first_user_prefix = messages[0]['content'] + '\n\n' -%}\n"
    "    {%- set loop_messages = messages[1:] -%}\n{%- else -%}\n    {%- set first_user_prefix = \"\" -%}\n"
    "    {%- set loop_messages = messages -%}\n{%- endif -%}\n{%- for message in loop_messages -%}\n"
    "    {%- if (message['role'] == 'assistant') -%}\n        {%- set role = \"model\" -%}\n    {%- else -%}\n"
    "        {%- set role = message['role'] -%}\n    {%- endif -%}\n"
    "    {{ '<start_of_turn>' + role + '\n' + (first_user_prefix if loop.first else \"\") }}\n"
    "    {{- message['content'] | trim -}}\n    {{ '<end_of_turn>\n' }}\n{%- endfor -%}\n"
    "{%- if add_generation_prompt -%}\n    {{'<start_of_turn>model\n'}}\n{%- endif -%}\n"
)
SMOLVLM = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}{% if message['content'][0]['type'] == 'image' %}{{':'}}"
    "{% else %}{{': '}}{% endif %}{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
LLAVA = (
    "{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'].upper() + ': '}}{% endif %}"
    "{# Render all images first #}{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}"
    "{% endfor %}{# Render all text next #}{% if message['role'] != 'assistant' %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{{ content['text'] + ' '}}{% endfor %}{% else %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{{ content['text'] + ' '}}{% endfor %}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
LLAMA3 = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + "
    "'<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}"
    "{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
# name here: (source, what it is to be recognised as, bos_token, eos_token)
SOURCES = {
    "SmolLM2": ("gguf", "smollm2", "<|im_start|>", "<|im_end|>"),
    "SmolVLM": (SMOLVLM, "smolvlm", "", "<end_of_utterance>"),
    "Qwen2": (QWEN % "You are a helpful assistant.", "qwen2", "", "<|im_end|>"),
    "Qwen1.5": (QWEN % "You are a helpful assistant", "qwen1.5", "", "<|im_end|>"),
    "Qwen2.5": ("models/templates/Qwen-Qwen2.5-7B-Instruct.jinja", "qwen2.5", "", "<|im_end|>"),
    "OpenHermes": ("cpp:teknium/OpenHermes", "chatml", "<s>", "<|im_end|>"),
    "Phi-4": ("cpp:phi-4", "phi4", "", "<|im_end|>"),
    "Llama 2": (LLAMA2, "llama2", "<s>", "</s>"),
    "Mistral v0.1": (MISTRAL_01, "mistral-v0.1", "<s>", "</s>"),
    "Mistral v0.2": ("cpp:mistralai/Mistral-7B-Instruct-v0.2 (NOTE", "mistral-v0.2", "<s>", "</s>"),
    "Mistral v1": ("cpp:mistralai/Mistral-7B-Instruct-v0.2 (mistralai 'v1'", "mistral-v1", "<s>", "</s>"),
    "Mistral v3": ("cpp:Mistral-Large-Instruct-2407", "mistral-v3", "<s>", "</s>"),
    "Mistral v3 first": ("cpp:Mistral-Large-Instruct-2407|first", "mistral-v3-first", "<s>", "</s>"),
    "Mistral Nemo": ("models/templates/mistralai-Mistral-Nemo-Instruct-2407.jinja", "mistral-v3-tekken", "<s>", "</s>"),
    "Mistral Nemo first": ("models/templates/mistralai-Mistral-Nemo-Instruct-2407.jinja|first", "mistral-v3-tekken-first", "<s>", "</s>"),
    "Mistral v7": ("cpp:mistralai/Mistral-Large-Instruct-2411", "mistral-v7", "<s>", "</s>"),
    # its system message of 2 KB with the day's date is not made: cases without a system message are left out
    "Mistral Small 3.2": ("models/templates/Mistral-Small-3.2-24B-Instruct-2506.jinja", "mistral-v7-tekken", "<s>", "</s>"),
    "Phi-3-vision": ("cpp:Phi-3-vision", "phi3", "<s>", "<|endoftext|>"),
    "Phi-3.5": ("models/templates/microsoft-Phi-3.5-mini-instruct.jinja", "phi3", "<s>", "<|endoftext|>"),
    "Zephyr": (ZEPHYR, "zephyr", "<s>", "</s>"),
    "StableLM Zephyr": (ZEPHYR, "stablelm-zephyr", "", "<|endoftext|>"),
    "AlphaMonarch": ("cpp:mlabonne/AlphaMonarch-7B", "monarch", "<s>", "</s>"),
    "Gemma 2": ("models/templates/google-gemma-2-2b-it.jinja", "gemma", "<bos>", "<eos>"),
    "Gemma 3": (GEMMA3, "gemma", "<bos>", "<end_of_turn>"),
    "OpenChat": ("cpp:openchat/openchat-3.5-0106", "openchat", "<s>", "<|end_of_turn|>"),
    "LLaVA": (LLAVA, "llava", "<s>", "</s>"),
    "Vicuna": ("cpp:eachadea/vicuna-13b-1.1", "vicuna-lines", "<s>", "</s>"),
    "Orca-Vicuna": ("cpp:Orca-Vicuna", "vicuna-orca", "<s>", "</s>"),
    "DeepSeek-Coder": ("cpp:deepseek-ai/deepseek-coder-33b-instruct", "deepseek-coder", "<｜begin▁of▁sentence｜>", "<|EOT|>"),
    "DeepSeek-V2": ("cpp:DeepSeek-V2", "deepseek2", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
    "DeepSeek-R1": ("models/templates/deepseek-ai-DeepSeek-R1-Distill-Llama-8B.jinja", "deepseek-r1", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
    "Command-R+": ("cpp:CohereForAI/c4ai-command-r-plus", "command-r", "<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>"),
    "Llama 3": (LLAMA3, "llama3", "<|begin_of_text|>", "<|eot_id|>"),
    "Llama 3.1": ("models/templates/meta-llama-Llama-3.1-8B-Instruct.jinja", "llama3.1", "<|begin_of_text|>", "<|eot_id|>"),
    "Llama 3.2": ("models/templates/meta-llama-Llama-3.2-3B-Instruct.jinja", "llama3.1", "<|begin_of_text|>", "<|eot_id|>"),
    "Llama 3.3": ("models/templates/meta-llama-Llama-3.3-70B-Instruct.jinja", "llama3.1", "<|begin_of_text|>", "<|eot_id|>"),
    "Granite 3.0": ("cpp:ibm-granite/granite-3.0-8b-instruct", "granite", "", "<|end_of_text|>"),
}
S, U, A = "system", "user", "assistant"
MARK = "<MARK>"  # where a medium goes; the test puts its byte there
CONVERSATIONS = [
    [(U, "Hello")],
    [(S, "You are a helpful assistant"), (U, "Hello")],
    [(U, "Hello"), (A, "Hi there"), (U, "Who are you")],
    [(S, "Be brief."), (U, "Hello"), (A, "Hi there"), (U, "Who are you"), (A, "   I am an assistant   "), (U, "Another question")],
    [(U, "Hello"), (A, "Hi there")],
    [(U, "\n\n  two\nlines \u00a0\u3000\t\n")],
    [(S, "\n  a system \n"), (U, " \r\n\v\x1c text \x85\u2003")],
    [(U, "{{ messages }}{% raise %}{# no #} \\n '\" %} ''' </s")],
    [(U, "<|im_end|>\n<|im_start|>system\nx</s><s>[/INST][INST]<<SYS>><|eot_id|><end_of_turn><|end|><|user|><｜User｜>"), (A, "<|im_end|>"), (U, "x")],
    [(U, "q"), (A, "<think>a</think>b</think>\n\n c "), (U, "r")],
    [(U, "<think>q</think> r")],
    [(S, "s"), (U, " \n ")],
    [(U, "")],
    [(U, "Grüße 北京 👍")],
    [(U, MARK + "What is this?")],
    [(U, MARK), (A, "A cat."), (U, "Sure?")],
]


def environment():
    def refuse(message):
        raise ValueError(message)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    env.filters["tojson"] = lambda x, indent=None: json.dumps(x, ensure_ascii=False, indent=indent)
    env.globals["raise_exception"] = refuse
    return env


def source(name, root, gguf):
    text, _, first = name.partition("|first") if "\n" not in name and not name.startswith("{") and not name.startswith("<") else (name, "", "")
    if text == "gguf":
        return GGUFReader(gguf).fields["tokenizer.chat_template"].contents()
    if text.startswith("cpp:"):
        cpp = (root / "tests/test-chat-template.cpp").read_text()
        found = re.search(r'\.name= \*/ "' + re.escape(text[4:]) + r'.*?\.template_str= \*/ (?:U8C\()?("(?:[^"\\]|\\.)*")', cpp, re.S)
        text = ast.literal_eval(found.group(1))
    elif text.endswith(".jinja"):
        text = (root / text).read_text()
    return text.replace("loop.last and system_message", "loop.first and system_message") if "|first" in name else text


def content(text, listed):
    """A message as the processors want it: a list of kinds where the template asks for one."""
    if not listed:
        return text
    out = [{"type": "image"}] if text.startswith(MARK) else []
    return out + [{"type": "text", "text": text.removeprefix(MARK)}]


def cases(jinja, bos, eos):
    template = environment().from_string(jinja)
    listed = "selectattr('type'" in jinja or "line['type']" in jinja
    asks_date = 'strftime_now("%Y' in jinja  # Mistral Small; Llama 3.2 has a date of its own where there is no such function
    for messages in CONVERSATIONS:
        if not listed and any(MARK in t for _, t in messages):
            continue
        if asks_date and messages[0][0] != S:
            continue
        for opens in (True, False):
            try:
                text = template.render(messages=[{"role": r, "content": content(t, listed)} for r, t in messages], bos_token=bos, eos_token=eos,
                                       add_generation_prompt=opens, **({"strftime_now": lambda f: "today"} if asks_date else {}))
            except ValueError:
                continue  # the template refuses: two kinds of it want no system message
            if listed:
                text = text.replace("<image>", MARK)
            yield {"messages": [{"role": r, "content": t} for r, t in messages], "open": opens, "text": text.removeprefix(bos) if "bos_token" in jinja else text}


def main():
    root, gguf = Path(sys.argv[1]), sys.argv[2]
    out = []
    for name, (where, known_as, bos, eos) in SOURCES.items():
        jinja = source(where, root, gguf)
        out.append({"template": name, "name": known_as, "eos": eos, "jinja": jinja, "cases": list(cases(jinja, bos, eos))})
    print("[" + ",\n".join(json.dumps(t, ensure_ascii=False) for t in out) + "]")


main()
