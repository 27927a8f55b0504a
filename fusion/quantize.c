/* quantize.c: model files made smaller. */
#include "../core/quantize.h"
#include "internal.h"

const char *senses_quantize_type(size_t i)
{
    const sn_mix *mix = sn_mix_at(i);
    return mix != NULL ? mix->name : NULL;
}

senses_status senses_quantize(senses_engine *e, const char *in_path, const char *out_path, const char *type,
                              const senses_quantize_params *p, senses_quantize_result *result, senses_error *err)
{
    const sn_mix *mix = sn_mix_find(type);
    senses_quantize_result unwanted;
    sn_requantize_params params = {0};
    if (mix == NULL) return sn_fail(err, SN_EUSAGE, "%s: \"%s\" is no type that weights can be stored in", in_path, type);
    if (p != NULL) params = (sn_requantize_params){.again = p->allow_requantize, .progress = p->progress, .user = p->user};
    return sn_requantize(e->compute, in_path, out_path, mix, &params, result != NULL ? result : &unwanted, err);
}
