"""The same of a network of torchvision, in PyTorch: SGD with momentum, cross entropy.

usage: worker_train_torch.py NET BATCH SIDE CLASSES THREADS
NET may end in _cifar: a ResNet with a 3x3 stem of stride 1 and no pooling behind it.
"""
import resource
import statistics
import sys
import time

import torch
import torchvision


def build(name, classes):
    cifar = name.endswith("_cifar")
    net = getattr(torchvision.models, name.removesuffix("_cifar"))(weights=None, num_classes=classes)
    if cifar:
        net.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
        net.maxpool = torch.nn.Identity()
    return net.train()


def main():
    name, batch, side, classes, threads = sys.argv[1:]
    batch, side, classes = int(batch), int(side), int(classes)
    torch.set_num_threads(int(threads))
    torch.manual_seed(1)
    net = build(name, classes)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)
    images = torch.randn(batch, 3, side, side)
    labels = torch.arange(batch) % classes

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(net(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    step()
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter()
            step()
            times.append(time.perf_counter() - start)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(statistics.median(times), memory, flush=True)


main()
