/* tests/plugins/other_abi.c - a plugin of another time: must not be loaded */
#include <stddef.h>

#include <vouch_plugin.h>

const struct vh_plugin vouch_plugin = { .abi = VH_ABI + 1, .name = "other_abi", .hooks = NULL };
