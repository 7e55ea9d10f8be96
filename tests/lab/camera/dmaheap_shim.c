/* The laboratory's kernel may have no dma-buf heaps. Preloaded, this answers the ioctls of a heap with anonymous files,
 * which can be mapped as a dma-buf can. Nothing but a laboratory ever loads it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

static int allocate(struct dma_heap_allocation_data *wanted)
{
	const __u64 page = 4096;
	int file = memfd_create("lab-dma-buf", MFD_CLOEXEC);

	if (file < 0)
		return -1;
	if (ftruncate(file, (wanted->len + page - 1) & ~(page - 1)) < 0) {
		close(file);
		return -1;
	}
	wanted->fd = file;
	return 0;
}

int ioctl(int file, unsigned long request, ...)
{
	static int (*kernels)(int, unsigned long, void *);
	va_list rest;
	void *argument;

	va_start(rest, request);
	argument = va_arg(rest, void *);
	va_end(rest);
	if (!kernels)
		kernels = (int (*)(int, unsigned long, void *))dlsym(RTLD_NEXT, "ioctl");
	/* Compared as 32 bits: some callers sign-extend the request. */
	switch ((unsigned int)request) {
	case (unsigned int)DMA_HEAP_IOCTL_ALLOC:
		return allocate(argument);
	case (unsigned int)DMA_BUF_SET_NAME_A:
	case (unsigned int)DMA_BUF_SET_NAME_B:
	case (unsigned int)DMA_BUF_IOCTL_SYNC:
		return 0;
	default:
		return kernels(file, request, argument);
	}
}
