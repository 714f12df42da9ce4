/* A game, as far as a clock is concerned: it writes the time it lives at to the file $LIFE, every 10 ms, for argv[1]
   seconds (60).  With $STUBBORN set it does not go when it is asked to; with $BUSY it keeps a processor at work, as
   what draws does. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const char *life = getenv("LIFE");
    long beats = (argc > 1 ? atol(argv[1]) : 60) * 100;
    int file = open(life ? life : "life", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

    if (file < 0)
        return 3;
    if (getenv("STUBBORN"))
        for (int number = 1; number < 32; number++)
            signal(number, SIG_IGN);
    for (; beats > 0; beats--) {
        struct timespec now, pause = {0, 10 * 1000 * 1000};
        char line[32];
        clock_gettime(CLOCK_BOOTTIME, &now);
        int length = snprintf(line, sizeof line, "%ld.%02ld\n", (long)now.tv_sec, now.tv_nsec / 10000000);
        if (write(file, line, length) != length)
            return 4;
        if (getenv("BUSY")) {
            clock_t begun = clock();
            while (clock() - begun < CLOCKS_PER_SEC * 3 / 100)
                ;
        }
        nanosleep(&pause, NULL);
    }
    return 0;
}
