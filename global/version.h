/* global/version.h - what this vouch calls itself in its first log line */
#ifndef GLOBAL_VERSION_H
#define GLOBAL_VERSION_H

#define VOUCH_VERSION "0.1"

#endif
