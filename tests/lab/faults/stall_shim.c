/* A card that never finishes a write, or a thread that never comes round: preloaded, this lets the thread NAME stand still
 * in fdatasync or in a wait for a lock, for as long as the file /run/lab-stall/NAME is there. Only a laboratory loads it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static void stand_still(void)
{
	char name[16] = "", path[64];

	prctl(PR_GET_NAME, name);
	snprintf(path, sizeof(path), "/run/lab-stall/%s", name);
	while (access(path, F_OK) == 0)
		usleep(100000);
}

int fdatasync(int file)
{
	static int (*libcs)(int);

	if (!libcs)
		libcs = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
	stand_still();
	return libcs(file);
}

int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *until)
{
	static int (*libcs)(sem_t *, clockid_t, const struct timespec *);

	if (!libcs)
		libcs = (int (*)(sem_t *, clockid_t, const struct timespec *))dlsym(RTLD_NEXT, "sem_clockwait");
	stand_still();
	return libcs(semaphore, clock, until);
}
