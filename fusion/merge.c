/* merge.c: LoRA adapters added to a model's weights, as a file. */
#include "../core/lora.h"
#include "internal.h"

senses_status senses_merge(senses_engine *e, const char *base_path, const senses_lora *loras, size_t n, const char *out_path,
                           const senses_merge_params *p, senses_merge_result *result, senses_error *err)
{
    const senses_merge_params none = {0};
    senses_merge_result unwanted;
    if (n == 0) return sn_fail(err, SN_EUSAGE, "%s: nothing to merge into it", base_path);
    return sn_lora_merge(e->compute, base_path, loras, n, out_path, p != NULL ? p : &none, result != NULL ? result : &unwanted, err);
}
