// llama_grammar.cpp: which texts llama.cpp takes for texts of a grammar, for make_grammar.py. Input: "BYTES N\n" and a grammar, then N times
// "BYTES\n" and a text; again and again. Output: a line a grammar, "refused" or a digit a text.
//   S=LLAMA_CPP (vendor/llama.cpp of the sdist of llama-cpp-python 0.3.36)
//   g++ -std=c++17 -O1 -I$S/src -I$S/include -I$S/ggml/include llama_grammar.cpp $S/src/{llama-grammar,unicode,unicode-data}.cpp -o llama_grammar
#include "llama-grammar.h"
#include "unicode.h"
#include "llama-impl.h"
#include "llama-vocab.h"

#include <cstdio>
#include <cstdlib>
#include <string>

// What the grammars' source asks for besides, which no text without a vocabulary comes to.
void ggml_abort(const char *, int, const char *, ...) { abort(); }
void llama_log_internal(ggml_log_level, const char *, ...) {}
bool llama_vocab::is_eog(llama_token) const { abort(); }
const std::string &llama_vocab::token_to_piece(llama_token) const { abort(); }
int32_t llama_vocab::tokenize(const char *, int32_t, llama_token *, int32_t, bool, bool) const { abort(); }

static std::string read_bytes(size_t n) {
    std::string s(n, '\0');
    if (fread(&s[0], 1, n, stdin) != n) exit(1);
    return s;
}

static bool fits(llama_grammar *g, const std::string &text) {
    llama_grammar_stacks &stacks = llama_grammar_get_stacks(g);
    for (size_t at = 0; at < text.size();) {
        const uint32_t c = unicode_cpt_from_utf8(text, at);
        llama_grammar_accept_token(*g, 0, unicode_cpt_to_utf8(c));
        if (stacks.empty()) return false;
    }
    for (const auto &stack : stacks)
        if (stack.empty()) return true;
    return false;
}

int main() {
    size_t n_grammar, n_texts, n;
    while (scanf("%zu %zu", &n_grammar, &n_texts) == 2 && getchar() == '\n') {
        const std::string grammar = read_bytes(n_grammar);
        llama_grammar *g = llama_grammar_init_impl(nullptr, grammar.c_str(), "root", false, nullptr, 0, nullptr, 0);
        const llama_grammar_stacks start = g ? llama_grammar_get_stacks(g) : llama_grammar_stacks{};
        std::string out = g ? "" : "refused";
        for (size_t i = 0; i < n_texts; i++) {
            if (scanf("%zu", &n) != 1 || getchar() != '\n') return 1;
            const std::string text = read_bytes(n);
            if (!g) continue;
            bool good = false;
            try {
                good = fits(g, text);
            } catch (const std::exception &) {
            }
            out += good ? '1' : '0';
            llama_grammar_get_stacks(g) = start;
        }
        puts(out.c_str());
        fflush(stdout);
        if (g) llama_grammar_free_impl(g);
    }
    return 0;
}
