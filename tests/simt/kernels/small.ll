; Kernels that are wrong in one way each, or right, as their names say.
@cell = internal addrspace(3) global [64 x i32] undef, align 16
@half = internal addrspace(3) global [64 x i16] undef, align 16

; threads beyond n exit before the barrier
define ptx_kernel void @exit_before_barrier(i32 %n) {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %in = icmp ult i32 %t, %n
  br i1 %in, label %meet, label %end
meet:
  call void @llvm.nvvm.barrier0()
  br label %end
end:
  ret void
}

; threads below n and the others meet at barriers of their own
define ptx_kernel void @two_barriers(i32 %n) {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %in = icmp ult i32 %t, %n
  br i1 %in, label %here, label %there
here:
  call void @llvm.nvvm.barrier0()
  br label %end
there:
  call void @llvm.nvvm.barrier0()
  br label %end
end:
  ret void
}

; lanes below n wait for a shuffle that the others never execute: they wait at the barrier
define ptx_kernel void @deadlock(i32 %n) {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %in = icmp ult i32 %t, %n
  br i1 %in, label %swap, label %meet
swap:
  %s = call i32 @llvm.nvvm.shfl.sync.bfly.i32(i32 -1, i32 %t, i32 1, i32 31)
  br label %meet
meet:
  call void @llvm.nvvm.barrier0()
  ret void
}

; a load of 16 bytes from x + by bytes
define ptx_kernel void @vector(ptr addrspace(1) %x, ptr addrspace(1) %y, i32 %by) {
  %p = getelementptr i8, ptr addrspace(1) %x, i32 %by
  %v = load <4 x float>, ptr addrspace(1) %p, align 16
  %e = extractelement <4 x float> %v, i32 0
  store float %e, ptr addrspace(1) %y, align 4
  ret void
}

; y[block * stride + thread] = thread
define ptx_kernel void @blocks(ptr addrspace(1) %y, i32 %stride) {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %b = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
  %o = mul i32 %b, %stride
  %i = add i32 %o, %t
  %p = getelementptr i32, ptr addrspace(1) %y, i32 %i
  store i32 %t, ptr addrspace(1) %p, align 4
  ret void
}

; every block adds to y[0]; then, if `plain`, writes it
define ptx_kernel void @atomic(ptr addrspace(1) %y, i32 %plain) {
  %o = atomicrmw add ptr addrspace(1) %y, i32 1 monotonic
  %is = icmp ne i32 %plain, 0
  br i1 %is, label %put, label %end
put:
  store i32 7, ptr addrspace(1) %y, align 4
  br label %end
end:
  ret void
}

; lane 0 fills the cell that all lanes read; `how`: 0 nothing, 1 a warp barrier, 2 a shuffle between
define ptx_kernel void @warp(ptr addrspace(1) %y, i32 %how) {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %first = icmp eq i32 %t, 0
  br i1 %first, label %put, label %meet
put:
  store i32 42, ptr addrspace(3) @cell, align 4
  br label %meet
meet:
  switch i32 %how, label %get [ i32 1, label %sync i32 2, label %shuffle ]
sync:
  call void @llvm.nvvm.bar.warp.sync(i32 -1)
  br label %get
shuffle:
  %s = call i32 @llvm.nvvm.shfl.sync.idx.i32(i32 -1, i32 %t, i32 0, i32 31)
  br label %get
get:
  %v = load i32, ptr addrspace(3) @cell, align 4
  %p = getelementptr i32, ptr addrspace(1) %y, i32 %t
  store i32 %v, ptr addrspace(1) %p, align 4
  ret void
}

; neighbours write halves of one word, then read their own
define ptx_kernel void @halves(ptr addrspace(1) %y) {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %h = trunc i32 %t to i16
  %sp = getelementptr i16, ptr addrspace(3) @half, i32 %t
  store i16 %h, ptr addrspace(3) %sp, align 2
  %v = load i16, ptr addrspace(3) %sp, align 2
  %p = getelementptr i16, ptr addrspace(1) %y, i32 %t
  store i16 %v, ptr addrspace(1) %p, align 2
  ret void
}

; word stride * lane is written by each lane
define ptx_kernel void @strided(i32 %stride) {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %i = mul i32 %t, %stride
  %p = getelementptr i32, ptr addrspace(3) @wide, i32 %i
  store i32 %t, ptr addrspace(3) %p, align 4
  ret void
}
@wide = internal addrspace(3) global [1024 x i32] undef, align 16

; two halves of the block meet at barriers 1 and 2, and hand a word over within their half
define ptx_kernel void @named(ptr addrspace(1) %y, i32 %cross) {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %h = lshr i32 %t, 5
  %id = add i32 %h, 1
  %p = getelementptr i32, ptr addrspace(3) @cell, i32 %t
  store i32 %t, ptr addrspace(3) %p, align 4
  call void @llvm.nvvm.barrier.sync.cnt(i32 %id, i32 32)
  %flip = xor i32 %t, %cross
  %q = getelementptr i32, ptr addrspace(3) @cell, i32 %flip
  %v = load i32, ptr addrspace(3) %q, align 4
  %o = getelementptr i32, ptr addrspace(1) %y, i32 %t
  store i32 %v, ptr addrspace(1) %o, align 4
  ret void
}

; a table in constant memory, a structure as a parameter
@table = internal addrspace(4) constant [4 x i32] [i32 10, i32 20, i32 30, i32 40], align 4
define ptx_kernel void @constants(ptr byval([4 x i32]) align 4 %s, ptr addrspace(1) %y, i32 %i) {
  %tp = getelementptr i32, ptr addrspace(4) @table, i32 %i
  %v = load i32, ptr addrspace(4) %tp, align 4
  %sp = getelementptr i32, ptr %s, i32 %i
  %w = load i32, ptr %sp, align 4
  %r = add i32 %v, %w
  store i32 %r, ptr addrspace(1) %y, align 4
  ret void
}

; y[i] = y[i + by]; with `own`, what was there is read first
define ptx_kernel void @shift(ptr addrspace(1) %y, i32 %by, i32 %own) {
entry:
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %b = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
  %n = call i32 @llvm.nvvm.read.ptx.sreg.ntid.x()
  %o = mul i32 %b, %n
  %i = add i32 %o, %t
  %j = add i32 %i, %by
  %p = getelementptr i32, ptr addrspace(1) %y, i32 %i
  %q = getelementptr i32, ptr addrspace(1) %y, i32 %j
  %is = icmp ne i32 %own, 0
  br i1 %is, label %look, label %move
look:
  %w = load volatile i32, ptr addrspace(1) %p, align 4
  br label %move
move:
  %v = load i32, ptr addrspace(1) %q, align 4
  call void @llvm.nvvm.barrier0()
  store i32 %v, ptr addrspace(1) %p, align 4
  ret void
}

; the first warp waits for 64 threads, the second for `count`
define ptx_kernel void @counts(i32 %count) {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %first = icmp ult i32 %t, 32
  %n = select i1 %first, i32 64, i32 %count
  call void @llvm.nvvm.barrier.sync.cnt(i32 3, i32 %n)
  ret void
}

; the lower half of a warp reads from lane `from`
define ptx_kernel void @half_warp(ptr addrspace(1) %y, i32 %from) {
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %low = icmp ult i32 %t, 16
  br i1 %low, label %swap, label %end
swap:
  %v = call i32 @llvm.nvvm.shfl.sync.idx.i32(i32 65535, i32 %t, i32 %from, i32 31)
  %p = getelementptr i32, ptr addrspace(1) %y, i32 %t
  store i32 %v, ptr addrspace(1) %p, align 4
  br label %end
end:
  ret void
}

; 16 bytes of which n come from x
define ptx_kernel void @partial(ptr addrspace(1) %x, ptr addrspace(1) %y, i32 %n) {
  call void @llvm.nvvm.cp.async.cg.shared.global.16.s(ptr addrspace(3) @cell, ptr addrspace(1) %x, i32 %n)
  call void @llvm.nvvm.cp.async.wait.all()
  %v = load <4 x i32>, ptr addrspace(3) @cell, align 16
  store <4 x i32> %v, ptr addrspace(1) %y, align 16
  ret void
}

; y = x * 1, with denormals flushed and kept
define ptx_kernel void @flushed(ptr addrspace(1) %x, ptr addrspace(1) %y) "denormal-fp-math-f32"="preserve-sign,preserve-sign" {
  %v = load float, ptr addrspace(1) %x, align 4
  %p = fmul float %v, 5.0e-1
  store float %p, ptr addrspace(1) %y, align 4
  ret void
}
define ptx_kernel void @kept(ptr addrspace(1) %x, ptr addrspace(1) %y) {
  %v = load float, ptr addrspace(1) %x, align 4
  %p = fmul float %v, 5.0e-1
  store float %p, ptr addrspace(1) %y, align 4
  ret void
}
