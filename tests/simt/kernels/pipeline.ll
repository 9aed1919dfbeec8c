; y[i] = x[i] with every 512 values turned around: 128 threads, two stages of 2 KB that cp.async
; fills one ahead. x has n stages.
@stage = external addrspace(3) global [0 x i8], align 16

define ptx_kernel void @pipeline(ptr addrspace(1) align 16 %x, ptr addrspace(1) align 16 %y, i32 %n) {
entry:
  %t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()
  %mine = mul i32 %t, 16
  %back = sub i32 127, %t
  %other = mul i32 %back, 16
  %s0 = getelementptr i8, ptr addrspace(3) @stage, i32 %mine
  %g0 = getelementptr i8, ptr addrspace(1) %x, i32 %mine
  call void @llvm.nvvm.cp.async.cg.shared.global.16(ptr addrspace(3) %s0, ptr addrspace(1) %g0)
  call void @llvm.nvvm.cp.async.commit.group()
  br label %loop

loop:
  %k = phi i32 [ 0, %entry ], [ %k1, %loop ]
  %k1 = add i32 %k, 1
  %more = icmp ult i32 %k1, %n
  %bytes = select i1 %more, i32 16, i32 0
  %ahead = and i32 %k1, 1
  %aheadb = mul i32 %ahead, 2048
  %sa = add i32 %aheadb, %mine
  %sp = getelementptr i8, ptr addrspace(3) @stage, i32 %sa
  %ga = mul i32 %k1, 2048
  %gb = add i32 %ga, %mine
  %gp = getelementptr i8, ptr addrspace(1) %x, i32 %gb
  call void @llvm.nvvm.cp.async.cg.shared.global.16.s(ptr addrspace(3) %sp, ptr addrspace(1) %gp, i32 %bytes)
  call void @llvm.nvvm.cp.async.commit.group()
  call void @llvm.nvvm.cp.async.wait.group(i32 1)
  call void @llvm.nvvm.barrier0() ; arrived
  %now = and i32 %k, 1
  %nowb = mul i32 %now, 2048
  %ra = add i32 %nowb, %other
  %rp = getelementptr i8, ptr addrspace(3) @stage, i32 %ra
  %v = load <4 x float>, ptr addrspace(3) %rp, align 16
  %r = shufflevector <4 x float> %v, <4 x float> poison, <4 x i32> <i32 3, i32 2, i32 1, i32 0>
  %ya = mul i32 %k, 2048
  %yb = add i32 %ya, %mine
  %yp = getelementptr i8, ptr addrspace(1) %y, i32 %yb
  store <4 x float> %r, ptr addrspace(1) %yp, align 16
  call void @llvm.nvvm.barrier0() ; used
  br i1 %more, label %loop, label %end

end:
  ret void
}
