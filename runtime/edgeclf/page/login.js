// The login page: says so if the token before was wrong.
const wrong = document.getElementById("wrong");
if (wrong && new URLSearchParams(location.search).has("wrong")) wrong.hidden = false;
