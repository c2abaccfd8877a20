/* Adds SYNC_DELAY_US microseconds to each fsync and fdatasync, alike for every program that it is loaded into. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static void delay(void) {
    const char *text = getenv("SYNC_DELAY_US");
    long us = text ? atol(text) : 0;
    struct timespec t = {us / 1000000, (us % 1000000) * 1000};
    if (us > 0) nanosleep(&t, NULL);
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    delay();
    return real(fd);
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    delay();
    return real(fd);
}
