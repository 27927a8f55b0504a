/* models_path.h: from what stands behind -m, --mmproj and --whisper to a file. */
#ifndef TOOLS_MODELS_PATH_H
#define TOOLS_MODELS_PATH_H

#include <stdbool.h>
#include <stddef.h>

/* MODEL_PAGE_*: the pair that reads drawn pages, an encoder and the decoder trained with it. */
typedef enum { MODEL_TEXT, MODEL_MMPROJ, MODEL_WHISPER, MODEL_PAGE_MMPROJ, MODEL_PAGE_TEXT, MODEL_ANY } model_role;

/* The folder of fetched models: $SENSES_HOME/models, else $XDG_DATA_HOME/senses/models, else $HOME/.local/share/senses/models.
 * malloc'ed; NULL when none of these variables is set. */
char *models_folder(void);

/* The file that `value` means: itself when it has a '/' or exists, else a model of that name in the folder, or in one that comes with
 * the program: ../share/senses/models of where it is installed, or models beside it. value NULL: the default model of the role;
 * both files of the pair for pages come from the first folder that has both.
 * malloc'ed; NULL: said on standard error. */
char *models_resolve(const char *value, model_role role);

/* The folders that are searched, the first one first: the folder of fetched models, then those that come with the program. NULL ends
 * the list; they need not exist. */
enum { MODELS_N_FOLDERS = 3 };
void models_list_folders(char *folders[MODELS_N_FOLDERS + 1]);
void models_free_folders(char *folders[MODELS_N_FOLDERS + 1]);

/* What a file of the folder is taken for without being named ("text", "speech", "pages"); NULL: nothing. */
const char *models_default_mark(const char *folder, const char *file);

#endif
