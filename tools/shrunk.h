/* shrunk.h: model files are mapped. One that another program cuts short while it is in use has no more bytes to give, which the system
 * tells by a signal (SIGBUS). Then the program ends with one line that names the file, and status 1. */
#ifndef TOOLS_SHRUNK_H
#define TOOLS_SHRUNK_H

void shrunk_install(void);

#endif
