/* pairing.h: what a family of encoders knows of the decoders that it was trained with, as far as files can show it. Every member may be
 * NULL: then nothing is known, and any decoder of the right width may be one. */
#ifndef CORE_PAIRING_H
#define CORE_PAIRING_H

typedef struct {
    const char *tokens[2]; /* written around its rows: a decoder whose vocabulary lacks one was not trained with it */
    const char *arch;      /* general.architecture of its decoders, which take no other encoder of this sense */
    const char *own;       /* a token that its decoders alone have */
    const char *named;     /* how the names of its decoders alone begin: lower case, letters and digits only */
} sn_pairing;

#endif
