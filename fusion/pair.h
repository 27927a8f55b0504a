/* pair.h: whether an encoder and a decoder can belong together, by what their files hold. What a family of encoders knows of its decoders
 * is its own affair (core/pairing.h); here it is held against a decoder. Only what is proved wrong is refused: a decoder that says
 * nothing of the pictures or sounds it was trained with may be anyone's. */
#ifndef FUSION_PAIR_H
#define FUSION_PAIR_H

#include "../core/pairing.h"
#include "internal.h"

typedef struct { /* what is known of a decoder; borrowed */
    sn_str arch;
    const txt_vocab *vocab;
    char name[FUS_NAME_MAX];
} fus_decoder;

/* The beginning of a file's general.basename, or else general.name, in lower case, letters and digits only; "" without one. */
void fus_plain_name(char out[FUS_NAME_MAX], const sn_gguf *g);
/* Family i of the encoders of a sense, with what it knows of its decoders; NULL behind the last. */
const char *fus_family_at(senses_medium_kind kind, size_t i, const sn_pairing **pairing);
/* Whether `why` the family cannot have been trained with d is proved, in words to go behind "but": then false. `name` is the encoder's
 * own, "" where that is not known: files that share a name are believed to. */
typedef struct {
    char text[256];
} fus_reason;
bool fus_fits(senses_medium_kind kind, const char *family, const char *name, const fus_decoder *d, fus_reason *why);
/* The same of the architecture alone. */
bool fus_arch_fits(senses_medium_kind kind, const sn_pairing *of, const char *arch);
/* SN_ESHAPE: the widths differ; SN_EUSAGE: another family. One line that names both files and what each is. */
sn_status fus_pair_check(const senses_text *t, const senses_encoder *c, sn_err *err);

#endif
