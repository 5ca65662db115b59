using System.Net;
using System.Net.Sockets;
using Akka.Actor;
using SpotServe.Actors.Remoting;
using Xunit;

namespace SpotServe.Tests.Remoting;

public sealed class ListeningPortTests
{
    [Fact]
    public async Task Port_is_refused_when_the_one_who_listened_is_gone_and_not_before()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var port = ((IPEndPoint)listener.LocalEndpoint).Port;
        var address = new Address("akka.tcp", "spotserve", "127.0.0.1", port);

        Assert.False(await ListeningPort.IsRefusedAsync(address, TimeSpan.FromMilliseconds(20)));
        listener.Stop();

        Assert.True(await ListeningPort.IsRefusedAsync(address, RemoteSystem.Limit));
    }

    [Fact]
    public async Task Port_that_takes_a_connection_while_its_process_ends_is_refused()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var port = ((IPEndPoint)listener.LocalEndpoint).Port;
        var refused = ListeningPort.IsRefusedAsync(
            new Address("akka.tcp", "spotserve", "127.0.0.1", port), RemoteSystem.Limit);
        using var taken = await listener.AcceptSocketAsync(TestContext.Current.CancellationToken);

        listener.Stop();
        taken.Close();

        Assert.True(await refused);
    }

    [Fact]
    public async Task Nobody_who_is_not_asked_in_time_is_taken_for_refused()
    {
        Assert.False(await ListeningPort.IsRefusedAsync(new Address("akka", "spotserve"), RemoteSystem.Limit));
        Assert.False(await ListeningPort.IsRefusedAsync(
            new Address("akka.tcp", "spotserve", "127.0.0.1", 1), TimeSpan.Zero));
    }
}
