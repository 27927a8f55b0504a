/* browser.h: showing a file in the browser of whoever sits here. */
#ifndef TOOLS_BROWSER_H
#define TOOLS_BROWSER_H

#include <stdbool.h>

/* Starts the desktop's opener (xdg-open, or open) on the file, and does not wait for it. False: said on standard error. */
bool browser_show(const char *path);

#endif
