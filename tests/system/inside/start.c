/* What the lab's hand (hand.py) starts a program with: start UID GID GROUPS CGROUP FOLDER JOIN WORDS...
   In a session of its own already, with the program's streams and environment, as root: goes into the cgroups (JOIN are
   descriptors of the host's, CGROUP is a path of the PC's), becomes the account, and then the program.  By itself, because a
   fork of a Python costs more than most of what is started.  127 when there is no such program, 126 when it may not start. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

static void fail(const char *what)
{
    int code = errno == ENOENT ? 127 : 126;

    fprintf(stderr, "start: %s: %s\n", what, strerror(errno));
    _exit(code);
}

static void put(const char *path, const char *text)
{
    int file = open(path, O_WRONLY | O_CLOEXEC);

    if (file < 0 || write(file, text, strlen(text)) < 0)
        fail(path);
    close(file);
}

static void enter(const char *cgroup)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof path, "/sys/fs/cgroup%s/", cgroup) >= (int)(sizeof path - strlen("cgroup.procs"))) {
        errno = ENAMETOOLONG;
        fail("cgroup");
    }
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(path, 0777) < 0 && errno != EEXIST)
            fail(path);
        *slash = '/';
    }
    put(strcat(path, "cgroup.procs"), "0");
}

static void become(uid_t uid, gid_t gid, char *list)
{
    gid_t groups[256];
    size_t count = 0;

    for (char *one = strtok(list, ","); one && count < sizeof groups / sizeof *groups; one = strtok(NULL, ","))
        groups[count++] = (gid_t)atol(one);
    if (setgroups(count, groups) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
        fail("account");
}

static void run(char **words)
{
    const char *places = getenv("PATH");
    char path[PATH_MAX];
    int why = ENOENT;

    if (strchr(words[0], '/')) {
        execve(words[0], words, environ);
        fail(words[0]);
    }
    while (places && *places) {
        size_t length = strcspn(places, ":");

        if (length && snprintf(path, sizeof path, "%.*s/%s", (int)length, places, words[0]) < (int)sizeof path) {
            execve(path, words, environ);
            if (errno != ENOENT && errno != ENOTDIR)
                why = errno;
        }
        places += length + (places[length] == ':');
    }
    errno = why;
    fail(words[0]);
}

int main(int argc, char **argv)
{
    if (argc < 8)
        return 125;
    uid_t uid = (uid_t)atol(argv[1]);

    put("/proc/self/oom_score_adj", uid ? "100" : "0"); /* as systemd's user@.service has it */
    for (char *one = strtok(argv[6], ","); one; one = strtok(NULL, ",")) {
        if (write(atoi(one), "0", 1) < 0)
            fail("cgroup of the host");
        close(atoi(one));
    }
    if (*argv[4])
        enter(argv[4]);
    if (uid)
        become(uid, (gid_t)atol(argv[2]), argv[3]);
    if (chdir(argv[5]) < 0)
        fail(argv[5]);
    run(argv + 7);
}
