/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A boot sector that does what GNU Mach does first, and says so through QEMU's isa-debug-exit device: protected
 * mode, then paging with 4 MiB pages, then a read through a second mapping of the same memory. QEMU exits with
 * (42 << 1) | 1 = 85 when all of it works, and with 3 when paging reads the wrong thing. kvm_probe.c has the rest.
 * If the byte at kvm_probe_long_at is 1, all of it is done once more in long mode, as a 64-bit GNU Mach does; a
 * processor without it faults three times.
 *
 * The sector is data to the program that carries it: it is linked nowhere near where it runs (0x7c00, where the BIOS
 * loads it), so every address in it is a distance from its own start.
 */
#if defined(__x86_64__) || defined(__i386__)

#define HERE(label)	(label - kvm_probe_sector + 0x7c00)
#define PAGE_DIRECTORY	0x8000	/* 4 KiB of free low memory, aligned */
#define BIG_PAGE	0x83	/* present, writable, 4 MiB; physical address 0 */
#define SECOND_MAPPING	0x400000
#define CODE_SELECTOR	0x08
#define DATA_SELECTOR	0x10
#define LONG_SELECTOR	0x18
#define LONG_TABLES	0x8000	/* three tables of 4 KiB: PML4, PDPT, directory of 2 MiB pages */
#define LONG_TABLES_END	0xb000
#define LINK		0x3	/* present, writable */
#define LONG_SECOND	0x200000
#define EFER		0xc0000080
#define DEBUG_EXIT_PORT	0xf4
#define GOOD		42
#define BAD		1

	.section .rodata
	.globl	kvm_probe_sector
	.globl	kvm_probe_sector_end
	.globl	kvm_probe_long_at
	.type	kvm_probe_sector, @object
	.type	kvm_probe_sector_end, @object

	.code16
kvm_probe_sector:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %ss
	movw	$0x7c00, %sp
	lgdtw	HERE(gdt_pointer)
	movl	%cr0, %eax
	orl	$1, %eax
	movl	%eax, %cr0
	ljmpl	$CODE_SELECTOR, $HERE(protected)

	.code32
protected:
	movw	$DATA_SELECTOR, %ax
	movw	%ax, %ds
	movw	%ax, %ss
	movl	$BIG_PAGE, PAGE_DIRECTORY	/* identity */
	movl	$BIG_PAGE, PAGE_DIRECTORY + 4	/* the same memory once more */
	movl	%cr4, %eax
	orl	$0x10, %eax			/* PSE */
	movl	%eax, %cr4
	movl	$PAGE_DIRECTORY, %eax
	movl	%eax, %cr3
	movl	%cr0, %eax
	orl	$0x80000000, %eax		/* PG */
	movl	%eax, %cr0
	jmp	paging
paging:
	movb	$BAD, %al
	cmpw	$0xaa55, SECOND_MAPPING + HERE(signature)
	jne	answer
	cmpb	$0, HERE(wants_long)
	jne	longer
	movb	$GOOD, %al
answer:
	movw	$DEBUG_EXIT_PORT, %dx
	outb	%al, %dx
stop:
	hlt
	jmp	stop

longer:
	movl	%cr0, %eax
	andl	$0x7fffffff, %eax
	movl	%eax, %cr0
	movl	$LONG_TABLES, %edi
	movl	$(LONG_TABLES_END - LONG_TABLES) / 4, %ecx
	xorl	%eax, %eax
	movw	$DATA_SELECTOR, %dx
	movw	%dx, %es
	cld
	rep stosl
	movl	$LONG_TABLES + 0x1000 + LINK, LONG_TABLES
	movl	$LONG_TABLES + 0x2000 + LINK, LONG_TABLES + 0x1000
	movl	$BIG_PAGE, LONG_TABLES + 0x2000
	movl	$BIG_PAGE, LONG_TABLES + 0x2008
	movl	%cr4, %eax
	orl	$0x20, %eax			/* PAE */
	movl	%eax, %cr4
	movl	$LONG_TABLES, %eax
	movl	%eax, %cr3
	movl	$EFER, %ecx
	rdmsr
	orl	$0x100, %eax			/* LME */
	wrmsr
	movl	%cr0, %eax
	orl	$0x80000000, %eax		/* PG */
	movl	%eax, %cr0
	ljmpl	$LONG_SELECTOR, $HERE(long_mode)

	.code64
long_mode:
	movl	$0x12345678, %eax		/* 64 bits of a register */
	shlq	$32, %rax
	movq	%rax, %rbx
	shrq	$32, %rbx
	movb	$BAD, %al
	cmpl	$0x12345678, %ebx
	jne	long_answer
	movl	$LONG_SECOND + HERE(signature), %ebx
	cmpw	$0xaa55, (%rbx)
	jne	long_answer
	movb	$GOOD, %al
long_answer:
	movw	$DEBUG_EXIT_PORT, %dx
	outb	%al, %dx
long_stop:
	hlt
	jmp	long_stop
	.code32

wants_long:
	.byte	0

	.balign	8
gdt:
	.quad	0
	.quad	0x00cf9a000000ffff		/* code, 0 to 4 GiB */
	.quad	0x00cf92000000ffff		/* data, 0 to 4 GiB */
	.quad	0x00af9a000000ffff		/* code in long mode */
gdt_pointer:
	.word	gdt_pointer - gdt - 1
	.long	HERE(gdt)

	.org	kvm_probe_sector + 510
signature:
	.word	0xaa55
kvm_probe_sector_end:
	.size	kvm_probe_sector, 512
kvm_probe_long_at:
	.short	wants_long - kvm_probe_sector

#endif
	.section .note.GNU-stack, "", @progbits
