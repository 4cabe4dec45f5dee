// SPDX-License-Identifier: BSD-3-Clause

// A client of ours in Go: it makes its system calls by itself, from threads of its runtime, whose signals interrupt
// them. It sends frames to a loopback card from several goroutines in turn, and compares what comes back.
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	node = "/dev/vhost-vdpa-0"

	setOwner           = 0xaf01
	getFeatures        = 0x8008af00
	setFeatures        = 0x4008af00
	setVringNum        = 0x4008af10
	setVringAddr       = 0x4028af11
	setVringBase       = 0x4008af12
	setVringKick       = 0x4008af20
	setVringCall       = 0x4008af21
	setBackendFeatures = 0x4008af25
	setStatus          = 0x4001af72
	setVringEnable     = 0x4008af75

	num       = 8
	iova      = 1 << 20
	queueLen  = 16384
	bufferAt  = 8192
	headerLen = 12
	frameLen  = 600
	nrFrames  = 50
	nrRounds  = 20
)

func must(err error, step string) {
	if err != nil && err != syscall.Errno(0) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", step, err)
		os.Exit(1)
	}
}

func check(ok bool, step string) {
	if !ok {
		fmt.Fprintln(os.Stderr, step)
		os.Exit(1)
	}
}

func ioctl(fd int, command uintptr, arg unsafe.Pointer, step string) {
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), command, uintptr(arg))
	must(errno, step)
}

type state struct{ index, num uint32 }

type addr struct {
	index, flags               uint32
	desc, used, avail, logging uint64
}

type message struct {
	kind, asid        uint32
	iova, size, uaddr uint64
	perm, operation   uint8
	_                 [6]uint8
	_                 [24]uint8
}

type queue struct {
	memory     []byte
	kick, call int
	next       uint16
}

func eventfd() int {
	fd, _, errno := syscall.Syscall(syscall.SYS_EVENTFD2, 0, syscall.O_CLOEXEC, 0)
	must(errno, "eventfd")
	return int(fd)
}

func status(fd int, value uint8) {
	ioctl(fd, setStatus, unsafe.Pointer(&value), "SET_STATUS")
}

func (q *queue) start(fd int, index uint32, at uint64) {
	set := func(command uintptr, value uint32, step string) {
		ioctl(fd, command, unsafe.Pointer(&state{index, value}), step)
	}
	set(setVringNum, num, "SET_VRING_NUM")
	set(setVringBase, 0, "SET_VRING_BASE")
	ioctl(fd, setVringAddr, unsafe.Pointer(&addr{index: index, desc: at, avail: at + 1024, used: at + 2048}), "SET_VRING_ADDR")
	q.kick, q.call = eventfd(), eventfd()
	set(setVringKick, uint32(q.kick), "SET_VRING_KICK")
	set(setVringCall, uint32(q.call), "SET_VRING_CALL")
	set(setVringEnable, 1, "SET_VRING_ENABLE")
}

// The buffer becomes the next chain.
func (q *queue) give(at uint64, length uint32, flags uint16) {
	binary.LittleEndian.PutUint64(q.memory[0:], at+bufferAt)
	binary.LittleEndian.PutUint32(q.memory[8:], length)
	binary.LittleEndian.PutUint16(q.memory[12:], flags)
	binary.LittleEndian.PutUint16(q.memory[1024+4+2*int(q.next%num):], 0)
	q.next++
	idx := (*uint32)(unsafe.Pointer(&q.memory[1024])) // flags are 0, the index is the upper half
	atomic.StoreUint32(idx, uint32(q.next)<<16)
	one := [8]byte{1}
	_, err := syscall.Write(q.kick, one[:])
	must(err, "kick")
}

func (q *queue) wait() {
	idx := (*uint32)(unsafe.Pointer(&q.memory[2048]))
	deadline := time.Now().Add(20 * time.Second)
	for uint16(atomic.LoadUint32(idx)>>16) != q.next {
		check(time.Now().Before(deadline), "no answer of a queue")
		runtime.Gosched()
	}
}

func exchange(rx, tx *queue, seed int) {
	sent, got := tx.memory[bufferAt:bufferAt+headerLen+frameLen], rx.memory[bufferAt:bufferAt+4096]
	for i := range sent[headerLen:] {
		sent[headerLen+i] = byte(seed*31 + i*7)
	}
	copy(sent[headerLen:], "\xff\xff\xff\xff\xff\xff\x52\x54\x00\x00\x00\x01\x88\xb5")
	for i := range got {
		got[i] = 0
	}
	rx.give(iova, 4096, 2)
	tx.give(iova+queueLen, headerLen+frameLen, 0)
	rx.wait()
	tx.wait()
	check(bytes.Equal(got[headerLen:headerLen+frameLen], sent[headerLen:]), "another frame came")
}

func session(round int) {
	fd, err := syscall.Open(node, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	must(err, "open")
	memory, err := syscall.Mmap(-1, 0, 2*queueLen, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	must(err, "mmap")
	var features uint64
	backend := uint64(2)
	ioctl(fd, setOwner, nil, "SET_OWNER")
	status(fd, 3)
	ioctl(fd, setBackendFeatures, unsafe.Pointer(&backend), "SET_BACKEND_FEATURES")
	ioctl(fd, getFeatures, unsafe.Pointer(&features), "GET_FEATURES")
	features &= 3 << 32
	ioctl(fd, setFeatures, unsafe.Pointer(&features), "SET_FEATURES")
	status(fd, 0xb)
	update := message{kind: 2, iova: iova, size: 2 * queueLen, uaddr: uint64(uintptr(unsafe.Pointer(&memory[0]))), perm: 3, operation: 2}
	_, err = syscall.Write(fd, (*[72]byte)(unsafe.Pointer(&update))[:])
	must(err, "UPDATE")
	rx, tx := &queue{memory: memory[:queueLen]}, &queue{memory: memory[queueLen:]}
	rx.start(fd, 0, iova)
	tx.start(fd, 1, iova+queueLen)
	status(fd, 0xf)
	for i := 0; i < nrFrames; i++ {
		exchange(rx, tx, round*nrFrames+i)
	}
	status(fd, 0)
	must(syscall.Close(fd), "close")
	for _, q := range []*queue{rx, tx} {
		must(syscall.Close(q.kick), "close")
		must(syscall.Close(q.call), "close")
	}
	must(syscall.Munmap(memory), "munmap")
}

func main() {
	info, err := os.Stat(node)
	must(err, "stat")
	check(info.Mode()&os.ModeCharDevice != 0, "no character device")
	var turn sync.Mutex
	var all sync.WaitGroup
	garbage := make([][]byte, 64)
	for i := 0; i < nrRounds; i++ {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			turn.Lock()
			defer turn.Unlock()
			garbage[i%64] = make([]byte, 1<<20) // the collector runs
			session(i)
		}(i)
	}
	all.Wait()
	fmt.Printf("%d frames in %d sessions: the same came back\n", nrFrames*nrRounds, nrRounds)
}
