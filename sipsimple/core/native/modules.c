/* Which Python modules are linked into this shared object: those whose init function it has. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>

int ss_has_module(const char *name)
{
    char symbol[128];
    Dl_info info;
    void *object;
    int found;

    if (snprintf(symbol, sizeof symbol, "PyInit_%s", name) >= (int)sizeof symbol)
        return 0;
    if (!dladdr((void *)&ss_has_module, &info))
        return 0;
    object = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    if (!object)
        return 0;
    found = dlsym(object, symbol) != NULL;
    dlclose(object);
    return found;
}
