// llama_greedy.cpp: the first N greedy tokens of llama.cpp, for make_text_llama.py. Prompts, each ended by NUL, on standard
// input; JSON on standard output: ids, greedy ids, the second best of every step and its distance.
//   g++ llama_greedy.cpp -I LLAMA/include -I LLAMA/ggml/include -L BUILD/bin -lllama -lggml -lggml-base -o llama_greedy
//   ./llama_greedy MODEL.gguf 32 < prompts
#include "llama.h"
#include <cstdio>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>
int main(int argc, char **argv)
{
    llama_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
    llama_backend_init();
    auto mp = llama_model_default_params();
    llama_model *m = llama_model_load_from_file(argv[1], mp);
    const llama_vocab *v = llama_model_get_vocab(m);
    int nv = llama_vocab_n_tokens(v), N = atoi(argv[2]);
    std::string all((std::istreambuf_iterator<char>(std::cin)), {});
    std::vector<std::string> prompts;
    size_t p = 0, q;
    while ((q = all.find('\0', p)) != std::string::npos) {
        prompts.push_back(all.substr(p, q - p));
        p = q + 1;
    }
    printf("[");
    for (size_t i = 0; i < prompts.size(); i++) {
        std::vector<llama_token> t(4096);
        int n = llama_tokenize(v, prompts[i].data(), prompts[i].size(), t.data(), t.size(), true, true);
        t.resize(n);
        auto cp = llama_context_default_params();
        cp.n_ctx = 1024;
        cp.n_threads = cp.n_threads_batch = 2;
        llama_context *c = llama_init_from_model(m, cp);
        printf("%s{\"ids\":[", i ? "," : "");
        for (int k = 0; k < n; k++) printf("%s%d", k ? "," : "", t[k]);
        std::vector<int> g;
        std::vector<float> mg;
        std::vector<int> second;
        llama_batch b = llama_batch_get_one(t.data(), n);
        for (int k = 0; k < N; k++) {
            if (llama_decode(c, b)) return 1;
            float *l = llama_get_logits_ith(c, -1);
            int a = 0, s = -1;
            for (int j = 1; j < nv; j++) {
                if (l[j] > l[a]) {
                    s = a;
                    a = j;
                } else if (s < 0 || l[j] > l[s])
                    s = j;
            }
            g.push_back(a);
            mg.push_back(l[a] - l[s]);
            second.push_back(s);
            t.assign(1, a);
            b = llama_batch_get_one(t.data(), 1);
        }
        printf("],\"greedy\":[");
        for (int k = 0; k < N; k++) printf("%s%d", k ? "," : "", g[k]);
        printf("],\"second\":[");
        for (int k = 0; k < N; k++) printf("%s%d", k ? "," : "", second[k]);
        printf("],\"margin\":[");
        for (int k = 0; k < N; k++) printf("%s%.5f", k ? "," : "", mg[k]);
        printf("]}");
        llama_free(c);
    }
    printf("]\n");
}
