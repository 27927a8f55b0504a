/* conversation.h: turns, and what of them the decoder has not read yet. */
#ifndef FUSION_CONVERSATION_H
#define FUSION_CONVERSATION_H

#include "prompt.h"

typedef struct {
    txt_role role;
    fus_text text;
} fus_turn;

/* `framed`: how the turns are framed, NULL for raw prompts, which are appended as they are. `read`: the text, marks included,
 * that the decoder holds. */
typedef struct {
    const txt_framing *framed;
    fus_turn *turns;
    size_t n, cap;
    fus_text read;
    char framed_by[TXT_FRAMED_MAX]; /* of the last prompt, for a person; "" before it, and for raw ones */
} fus_conversation;

void fus_conversation_free(fus_conversation *c); /* forgets the turns; `framed` stays */

/* The user's turn: `prompt` with TXT_MEDIA_MARK for every image and sound, and the text of the text media, at the markers;
 * media beyond the markers stand in front. *parts is what the decoder has to read next, its text owned by `parts`. The turn is
 * part of the conversation from then on: fus_conversation_pop takes it back. */
sn_status fus_conversation_ask(fus_conversation *c, const char *prompt, const senses_medium *media, size_t n_media, txt_parts *parts,
                               sn_err *err);
void fus_conversation_pop(fus_conversation *c, size_t n_read); /* read.n before the ask */
/* The assistant's turn, as generated. */
sn_status fus_conversation_answered(fus_conversation *c, const char *text, size_t n, sn_err *err);
/* A first turn of the system. */
sn_status fus_conversation_system(fus_conversation *c, const char *text, sn_err *err);

#endif
